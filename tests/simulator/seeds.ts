// Programs that once broke a promise. A change of the generator makes other programs of them.

/** Their seeds. */
export const seeds: readonly number[] = [];
