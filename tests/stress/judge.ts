// The allowed errors. A call with odd arguments, or on a closed object, may fail, with a known error.

import type { DmaError } from "../../mod.ts";

/** The errors of the system that these actions can cause. */
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

/** The messages of V8 for mistakes in code, and of assertions. */
const MISTAKE =
  /Assertion failed|is not a function|Cannot (read|set) propert|is not iterable|private (member|field)|is not defined|out of bounds|call stack|Cannot convert|Cannot destructure|detached ArrayBuffer$/;

/** The reason of every abort here. */
export const ENOUGH: Error = new Error("Enough");

/** Whether an error is a documented one. */
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
  // The engine is in use, and can no longer be configured.
  if (error instanceof Deno.errors.Busy && !("code" in error)) return true;
  const { code, errno, op, path } = error as DmaError;
  // The messages of Node's streams.
  if (code?.startsWith("ERR_STREAM_")) return true;
  return CODES.has(code) && errno > 0 && typeof op === "string" && typeof path === "string";
}
