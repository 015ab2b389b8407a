// Turns `-errno` into the error that Deno itself would throw, with its code, operation and path.

import { Errno } from "./engine/linux.ts";
import { factsOfErrno } from "./errno.ts";

/** An error of the operating system, as this module throws it: one of Deno's own classes, or `Error`. */
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

/**
 * The error for `errno` of `op` on `path`.
 *
 * @param detail added to the message, where the number alone would not tell what is wrong
 */
export function ioError(errno: number, op: string, path: string, detail = ""): DmaError {
  const { code, text, type } = factsOfErrno(errno);
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
