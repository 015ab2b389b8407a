// Turns `-errno` into the error that Deno itself would throw, with its code, operation and path.

import { Errno } from "./engine/linux.ts";

/** An error of the operating system, as this module throws it: one of Deno's own classes, or `Error`. */
export interface DmaError extends Error {
  /** The error's name in C, as "ENOSPC". */
  readonly code: string;
  /** Its number. */
  readonly errno: number;
  /** What was being done, as "write". */
  readonly op: string;
  /** To which file. */
  readonly path: string;
}

type ErrorClass = new (message: string, options?: ErrorOptions) => Error;

/** From include/uapi/asm-generic/errno*.h, which x86_64 and aarch64 share; classes are those Deno maps to. */
const table: ReadonlyMap<number, readonly [code: string, text: string, type?: ErrorClass]> =
  new Map<
    number,
    readonly [string, string, ErrorClass?]
  >([
    [1, ["EPERM", "Operation not permitted", Deno.errors.PermissionDenied]],
    [2, ["ENOENT", "No such file or directory", Deno.errors.NotFound]],
    [4, ["EINTR", "Interrupted system call", Deno.errors.Interrupted]],
    [5, ["EIO", "Input/output error"]],
    [6, ["ENXIO", "No such device or address"]],
    [7, ["E2BIG", "Argument list too long"]],
    [9, ["EBADF", "Bad file descriptor", Deno.errors.BadResource]],
    [11, ["EAGAIN", "Resource temporarily unavailable", Deno.errors.WouldBlock]],
    [12, ["ENOMEM", "Cannot allocate memory"]],
    [13, ["EACCES", "Permission denied", Deno.errors.PermissionDenied]],
    [14, ["EFAULT", "Bad address"]],
    [16, ["EBUSY", "Device or resource busy", Deno.errors.Busy]],
    [17, ["EEXIST", "File exists", Deno.errors.AlreadyExists]],
    [18, ["EXDEV", "Invalid cross-device link"]],
    [19, ["ENODEV", "No such device"]],
    [20, ["ENOTDIR", "Not a directory", Deno.errors.NotADirectory]],
    [21, ["EISDIR", "Is a directory", Deno.errors.IsADirectory]],
    [22, ["EINVAL", "Invalid argument", TypeError]],
    [23, ["ENFILE", "Too many open files in system"]],
    [24, ["EMFILE", "Too many open files"]],
    [26, ["ETXTBSY", "Text file busy", Deno.errors.Busy]],
    [27, ["EFBIG", "File too large"]],
    [28, ["ENOSPC", "No space left on device"]],
    [29, ["ESPIPE", "Illegal seek"]],
    [30, ["EROFS", "Read-only file system"]],
    [31, ["EMLINK", "Too many links"]],
    [32, ["EPIPE", "Broken pipe", Deno.errors.BrokenPipe]],
    [36, ["ENAMETOOLONG", "File name too long"]],
    [38, ["ENOSYS", "Function not implemented", Deno.errors.NotSupported]],
    [39, ["ENOTEMPTY", "Directory not empty"]],
    [40, ["ELOOP", "Too many levels of symbolic links", Deno.errors.FilesystemLoop]],
    [61, ["ENODATA", "No data available"]],
    [75, ["EOVERFLOW", "Value too large for defined data type"]],
    [95, ["EOPNOTSUPP", "Operation not supported", Deno.errors.NotSupported]],
    [105, ["ENOBUFS", "No buffer space available"]],
    [107, ["ENOTCONN", "Transport endpoint is not connected", Deno.errors.NotConnected]],
    [110, ["ETIMEDOUT", "Connection timed out", Deno.errors.TimedOut]],
    [116, ["ESTALE", "Stale file handle"]],
    [117, ["EUCLEAN", "Structure needs cleaning"]],
    [121, ["EREMOTEIO", "Remote I/O error"]],
    [122, ["EDQUOT", "Disk quota exceeded"]],
    [125, ["ECANCELED", "Operation canceled", Deno.errors.Interrupted]],
  ]);

/**
 * The error for `errno` of `op` on `path`.
 *
 * @param detail added to the message, where the number alone would not tell what is wrong
 */
export function ioError(errno: number, op: string, path: string, detail = ""): DmaError {
  const [code, text, type = Error] = table.get(errno) ?? [`E${errno}`, "Unknown error"];
  const error = new type(`${text} (os error ${errno}): ${op} '${path}'${detail && `: ${detail}`}`);
  return Object.assign(error, { code, errno, op, path });
}

/** The result, or the error it stands for. */
export function unwrap(result: number, op: string, path: string): number {
  if (result < 0) throw ioError(-result, op, path);
  return result;
}

/** The error of a rename, which names both paths. */
export function renameError(errno: number, from: string, to: string): DmaError {
  const error = ioError(errno, "rename", from);
  error.message += ` -> '${to}'`;
  return error;
}

/** The error of a file that was closed. */
export function closedError(op: string, path: string): DmaError {
  return ioError(Errno.EBADF, op, path, "the file is closed");
}
