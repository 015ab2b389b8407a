// Registers ways to do the same with `deno bench`.

/** The chunk sizes, each with enough bytes for an iteration that can be timed. */
export const CHUNK_SIZES = [
  { name: "100 B", chunk: 100, total: 4_000_000 },
  { name: "4 KiB", chunk: 4096, total: 16 << 20 },
  { name: "64 KiB", chunk: 65536, total: 64 << 20 },
  { name: "1 MiB", chunk: 1 << 20, total: 128 << 20 },
] as const;

/** The number of iterations. Each goes to the disk, so a few are enough, and thousands would wear it. */
export const DISK_RUNS = { n: 10, warmup: 2 } as const;

/** Registers a group of ways to do the same, by their names. The first one is the baseline. */
export function benchWays(
  group: string,
  runs: { n?: number; warmup?: number },
  ways: Readonly<Record<string, (bench: Deno.BenchContext) => unknown>>,
): void {
  for (const [index, [name, way]] of Object.entries(ways).entries()) {
    Deno.bench({
      ...runs,
      group,
      baseline: index === 0,
      name,
      // `deno bench` awaits a function only if it is declared as `async`.
      async fn(bench) {
        await way(bench);
      },
    });
  }
}
