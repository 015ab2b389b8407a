// Turns `-errno` into the error that Deno itself throws, with code, operation and path.

import { errorText } from "../ffi/library.ts";

/** An error of the operating system. It is of one of Deno's own classes, or a plain `Error`. */
export interface DmaError extends Error {
  /** The symbolic name, such as "ENOSPC". */
  readonly code: string;
  /** The error number. */
  readonly errno: number;
  /** The operation, such as "write". */
  readonly op: string;
  /** The path of the file. */
  readonly path: string;
}

/** The names of error numbers from 1 on (asm-generic/errno.h, as on x86_64 and aarch64). 41 and 58 are not used. */
const CODES: readonly string[] = `
  EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT
  ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG
  ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP
  E41 ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL
  ENOANO EBADRQC EBADSLT E58 EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV
  ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD
  ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE
  EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT
  EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN
  ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY
  EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE
  ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL
  EHWPOISON
`.trim().split(/\s+/);

const { errors } = Deno;

/** The class of Deno for each name, also where Deno itself throws a plain error. All others are plain errors. */
const CLASSES: Readonly<Record<string, new (message: string) => Error>> = {
  EPERM: errors.PermissionDenied,
  ENOENT: errors.NotFound,
  EINTR: errors.Interrupted,
  EBADF: errors.BadResource,
  EAGAIN: errors.WouldBlock,
  EACCES: errors.PermissionDenied,
  EBUSY: errors.Busy,
  EEXIST: errors.AlreadyExists,
  ENOTDIR: errors.NotADirectory,
  EISDIR: errors.IsADirectory,
  EINVAL: TypeError,
  ETXTBSY: errors.Busy,
  EPIPE: errors.BrokenPipe,
  ENOSYS: errors.NotSupported,
  ELOOP: errors.FilesystemLoop,
  EOPNOTSUPP: errors.NotSupported,
  EADDRINUSE: errors.AddrInUse,
  EADDRNOTAVAIL: errors.AddrNotAvailable,
  ENETUNREACH: errors.NetworkUnreachable,
  ECONNABORTED: errors.ConnectionAborted,
  ECONNRESET: errors.ConnectionReset,
  ENOTCONN: errors.NotConnected,
  ETIMEDOUT: errors.TimedOut,
  ECONNREFUSED: errors.ConnectionRefused,
  ECANCELED: errors.Interrupted,
  EBADFD: errors.BadResource,
};

/**
 * The error for `errno` of `op` on `path`, or from `path` to `to`. `why` is appended if the number alone does not explain
 * the failure.
 */
export function ioError(errno: number, op: string, path: string, why = "", to?: string): DmaError {
  const code = CODES[errno - 1] ?? `E${errno}`;
  const type = CLASSES[code] ?? Error;
  const names = to === undefined ? `'${path}'` : `'${path}' -> '${to}'`;
  const what = `${errorText(errno)} (os error ${errno}): ${op} ${names}`;
  const error = new type(why ? `${what}: ${why}` : what);
  return Object.assign(error, { code, errno, op, path });
}

export function unwrap(result: number, op: string, path: string): number {
  if (result < 0) throw ioError(-result, op, path);
  return result;
}

/** Throws an error for lack of memory or descriptors, which says nothing about a file. Ignores other errors. */
export function throwIfLacking(error: Partial<DmaError>): undefined {
  // Without memory for a buffer the error has no code.
  if ([undefined, "ENOMEM", "ENFILE", "EMFILE"].includes(error.code)) throw error;
}

/** The error of a call to a closed stream of a file. `action` as in "Cannot write to". */
export function closedStreamError(action: string, { path }: { readonly path: string }): TypeError {
  return new TypeError(`Cannot ${action} '${path}': its stream is closed`);
}
