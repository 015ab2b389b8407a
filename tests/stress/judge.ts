// Which errors are right. Whatever is called with odd arguments, or on what is closed, may fail; how it may fail is known.

import type { DmaError } from "../../mod.ts";

/** Errors of the system that come of what is done here. */
const CODES = new Set([
  "EBADF",
  "EEXIST",
  "ENOENT",
  "EINVAL",
  "EFBIG",
  "EOPNOTSUPP",
  "EWOULDBLOCK",
  "EAGAIN",
  "EISDIR",
]);

/** What V8 says of mistakes in code, and what assertions say. */
const MISTAKE =
  /Assertion failed|is not a function|Cannot (read|set) propert|is not iterable|private (member|field)|is not defined|out of bounds|call stack|Cannot convert|Cannot destructure|detached ArrayBuffer$/;

/** The reason of every abort here. */
export const ENOUGH: Error = new Error("Enough");

/** Whether an error is one that the documentation knows. */
export function isRight(error: unknown): boolean {
  if (error === ENOUGH) return true;
  if (!(error instanceof Error)) return false;
  // A stream of Node's that was destroyed without a reason.
  if (error.message === "The stream was destroyed") return true;
  if (MISTAKE.test(error.message)) return false;
  if (error instanceof TypeError || error instanceof RangeError) return true;
  if (error instanceof DOMException) {
    return ["AbortError", "TimeoutError", "DataCloneError"].includes(error.name);
  }
  // The engine is at work, and is not configured any more.
  if (error instanceof Deno.errors.Busy && !("code" in error)) return true;
  const { code, errno, op, path } = error as DmaError;
  // What Node's streams say.
  if (code?.startsWith("ERR_STREAM_")) return true;
  return CODES.has(code) && errno > 0 && typeof op === "string" && typeof path === "string";
}
