// The seeds of programs that once broke a promise, and of those that find the mistakes in controls.ts. A change of the
// generator changes the programs: `deno task simulate --controls` prints the new seeds.

const text = `
  1 5 7 9 28 37 38 68 82 84 87 89 104 120 154 170 178 182 213 242 276 294 392 455 1205 4310 4338
  725808367781 725808402314 293791525643 247399530349 367206152230 864090785430 685028676399 774402129589
`;

export const seeds: readonly number[] = text.trim().split(/\s+/).map(Number);
