// The directory of the `deno bench` files: on a disk, not on tmpfs.

/** A new directory under DMA_BENCH_DIR, else /var/tmp, which is removed when the benchmark ends. */
export function benchDirectory(): string {
  const directory = Deno.makeTempDirSync({
    dir: Deno.env.get("DMA_BENCH_DIR") ?? "/var/tmp",
    prefix: "dma-bench-",
  });
  globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
  return directory;
}

/** The chunk sizes, each with enough bytes for an iteration that can be timed. */
export const CHUNK_SIZES = [
  { name: "100 B", chunk: 100, total: 4_000_000 },
  { name: "4 KiB", chunk: 4096, total: 16 << 20 },
  { name: "64 KiB", chunk: 65536, total: 64 << 20 },
  { name: "1 MiB", chunk: 1 << 20, total: 128 << 20 },
] as const;

/** The number of iterations. Each goes to the disk, so a few are enough, and thousands would wear it. */
export const DISK_RUNS = { n: 10, warmup: 2 } as const;
