// Linux's error numbers: their names (include/uapi/asm-generic/errno-base.h and errno.h, which x86_64 and aarch64 share),
// their texts, and the class of error that Deno gives for each.

import { errorTexts } from "../ffi/libc.ts";

type ErrorClass = new (message: string, options?: ErrorOptions) => Error;

/** What is known of one error number. */
export interface ErrnoFacts {
  readonly code: string;
  readonly text: string;
  readonly type: ErrorClass;
}

/** From 1 on. The kernel uses neither 41 nor 58. */
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

/** The classes by name; all others are plain errors. */
const CLASSES: Readonly<Record<string, ErrorClass>> = {
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
  ECONNABORTED: errors.ConnectionAborted,
  ECONNRESET: errors.ConnectionReset,
  ENOTCONN: errors.NotConnected,
  ETIMEDOUT: errors.TimedOut,
  ECONNREFUSED: errors.ConnectionRefused,
  ECANCELED: errors.Interrupted,
};

let texts: readonly string[] | undefined;

/** What is known of `errno`. */
export function factsOfErrno(errno: number): ErrnoFacts {
  const code = CODES[errno - 1] ?? `E${errno}`;
  texts ??= errorTexts(CODES.length);
  return { code, text: texts[errno] ?? "Unknown error", type: CLASSES[code] ?? Error };
}
