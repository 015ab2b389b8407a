// The directory of a benchmark's files: on a disk, not on tmpfs.

const undos: (() => void)[] = [];

function undoAll(): void {
  for (const undo of undos.splice(0).reverse()) {
    try {
      undo();
    } catch (error) {
      console.error(error);
    }
  }
}

/** Has `undo` called when the process ends: normally, after an error, or by Ctrl-C. The last one is called first. */
export function atEnd(undo: () => void): void {
  if (undos.length === 0) {
    for (const end of ["unload", "error", "unhandledrejection"]) {
      globalThis.addEventListener(end, undoAll);
    }
    for (const [name, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
      Deno.addSignalListener(name, () => Deno.exit(code));
    }
  }
  undos.push(undo);
}

/** A new directory below `parent`, which is removed at the end. */
export function benchDirectory(
  parent: string = Deno.env.get("DMA_BENCH_DIR") ?? "/var/tmp",
): string {
  const directory = Deno.makeTempDirSync({ dir: parent, prefix: "dma-bench-" });
  atEnd(() => Deno.removeSync(directory, { recursive: true }));
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
