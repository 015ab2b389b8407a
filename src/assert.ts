// States what must hold where it is cheap to check.

/** Throws where `condition` is false: that is a mistake in this module. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed in @denodma/dma: ${what}`);
}
