// The seeds of programs that once broke a promise, and of those that find the mistakes in controls.ts. A change of the
// generator changes the programs: `deno task simulate --controls` prints the new seeds.

const text = `
  1 4 7 8 9 28 37 38 79 82 84 89 120 128 154 178 182 193 294 1009 1047 1205 1873 4310 4338
  725808367781 725808402314 293791525643 247399530349 367206152230 864090785430 685028676399
  774402129589 85694997838 524775143705 1002170824537 36413727561 36413736792 36413756784
  537675229731 668309402858 112996352696 181441566949 181441561028
`;

export const seeds: readonly number[] = text.trim().split(/\s+/).map(Number);
