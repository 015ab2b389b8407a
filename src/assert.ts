// Asserts invariants that are cheap to check.

/** Throws if `condition` is false, which is a defect of this module. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed in @denodma/dma: ${what}`);
}
