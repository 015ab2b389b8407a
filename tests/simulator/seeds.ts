// Programs that once broke a promise. A change of the generator makes other programs of them.

/** Their seeds. */
export const seeds: readonly number[] = [64, 118, 156, 1470, 2809, 10525];
