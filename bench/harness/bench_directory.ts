// Where the files of a benchmark are: on a disk, not on tmpfs, or on a disk that is faster than the CPU.

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

/** Runs a command that must succeed, and returns its output. */
function run(command: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(command, { args }).outputSync();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${command} ${args.join(" ")} failed: ${error}`);
  return out!.trim();
}

/**
 * Mounts a disk that is faster than the CPU, with room for `bytes`, until the process ends: ext4 on a loop device with Direct
 * I/O over a file in tmpfs. It shows the cost of an operation that does not wait for its device, as on the fastest NVMe
 * disks. Needs root, and memory for all of it.
 */
export function mountFastDisk(bytes: number): string {
  const path = Deno.makeTempDirSync({ prefix: "dma-fast-disk-" });
  atEnd(() => Deno.removeSync(path));
  const image = Deno.makeTempFileSync({ dir: "/dev/shm", prefix: "dma-fast-disk-" });
  atEnd(() => Deno.removeSync(image));
  Deno.truncateSync(image, bytes);
  run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image);
  const device = run("losetup", "--find", "--show", "--direct-io=on", image);
  atEnd(() => run("losetup", "--detach", device));
  run("mount", device, path);
  // A program that was measured may have a file open still.
  atEnd(() => run("umount", "--lazy", path));
  return path;
}
