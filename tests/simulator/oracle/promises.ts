// The promises that the oracle checks, and the error of a broken one.

export const promises = {
  "writer 2": "currentFlushedPos never goes back and never passes a hole",
  "writer 3": "At most writeBehind writes in flight, (writeBehind + 1) buffers, one write a block",
  "writer 4": "close() resolves: the bytes, the exact length and the name survive a power cut",
  "writer 5": "Padding is zeros, at most one alignment unit, and gone after close or abort",
  "writer 6": "The first failure is final, and what every later call rejects with",
  "writer 7": "abort() leaves what was flushed, no padding, no reserve, no atomic file",
  "writer 8": "A writer that is dropped leaks no descriptor and no memory",
  "writer 9": "What the caller does with its chunk afterwards changes nothing",
  "writer 10": "What sync() resolved to survives a kill and a power cut",
  "writer 11": "Bytes before the position, and past the end, stay as they were",
  "file of the call": "Names change in the directory of the call, for that file, or not at all",
  "atomic": "An atomic path is the old file or the new one, whole and durable",
  "sync covers the given": "sync({ tail: true }) covers every chunk given before it",
  "close is not undone": "close() once begun is not undone by abort()",
  "normal end": "At the end of the program what was given is in the file, at its exact length",
  "exact tail": "Without alignment the tail is written at its exact length",
  "rights": "A descriptor gives no more than was asked for, also after seal()",
  "positions": "currentPos, nextPos and where a writer starts are true",
  "reads": "Reads give the bytes of the file, in order, up to its end",
  "file": "Random access, copies and lengths do what they say",
  "errors": "Every promise settles, and rejects only with what went wrong, in Deno's form",
  "engine": "The kernel gets aligned, open, untouched, disjoint and awaited operations",
  "nothing left": "At the end no descriptor, buffer or operation is left",
} as const;

export type PromiseName = keyof typeof promises;

export class Violation extends Error {
  override readonly name = "Violation";

  constructor(readonly promise: PromiseName, detail: string) {
    super(`${promise} (${promises[promise]}): ${detail}`);
  }
}

/** Throws a {@linkcode Violation}. */
export function violate(promise: PromiseName, detail: string): never {
  throw new Violation(promise, detail);
}
