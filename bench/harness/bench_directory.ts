// Where the `deno bench` files write: on a disk, not on tmpfs, and gone afterwards.

/** A new directory under DMA_BENCH_DIR, else /var/tmp, which is removed when the benchmark ends. */
export function benchDirectory(): string {
  const directory = Deno.makeTempDirSync({
    dir: Deno.env.get("DMA_BENCH_DIR") ?? "/var/tmp",
    prefix: "dma-bench-",
  });
  globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
  return directory;
}

/** Chunk sizes that are compared, with as many bytes of each as make an iteration worth timing. */
export const CHUNK_SIZES = [
  { name: "100 B", chunk: 100, total: 4_000_000 },
  { name: "4 KiB", chunk: 4096, total: 16 << 20 },
  { name: "64 KiB", chunk: 65536, total: 64 << 20 },
  { name: "1 MiB", chunk: 1 << 20, total: 128 << 20 },
] as const;

/** Iterations: each goes to the disk, so a few are enough, and thousands would wear it. */
export const DISK_RUNS = { n: 10, warmup: 2 } as const;
