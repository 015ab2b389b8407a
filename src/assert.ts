// Asserts invariants that are cheap to check.

export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed in @denodma/dma: ${what}`);
}
