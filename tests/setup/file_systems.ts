// Makes one small file system of each kind that matters to Direct I/O, mounts them, and removes everything afterwards.

import { statfsSync } from "node:fs";
import { exists, runOrThrow, say } from "./command.ts";
import { mountOf, mountsBelow, unmount } from "./mounts.ts";

const MiB = 1024 * 1024;

/** The images are sparse, so they take only the space that the tests use. */
const imageSize = 2048 * MiB;

/** The file systems. `least` is the smallest image for mkfs and a few tests. */
export const kinds = {
  // A mount that initializes inode tables later would flush the disk at a random moment.
  ext4: { least: 64 * MiB, mkfs: "mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0" },
  // mkfs.xfs makes no smaller one than 300 MiB.
  xfs: { least: 320 * MiB, mkfs: "mkfs.xfs -q -f" },
  btrfs: { least: 128 * MiB, mkfs: "mkfs.btrfs -q -f" },
};

export type FileSystem = keyof typeof kinds;

/** A disk with 4096-byte sectors refuses what one with 512-byte sectors takes. */
const sectorSizes = [512, 4096];

/** Mounts a file system in a file on a directory, by losetup(8) with these options. The unmount detaches the device. */
export async function mountImage(
  type: FileSystem,
  image: string,
  path: string,
  {
    isNew = false,
    options = [] as readonly string[],
    signal = undefined as AbortSignal | undefined,
  },
): Promise<void> {
  const script = `device=$(losetup --find --show ${options.join(" ")} "$0")
    trap 'losetup --detach $device' EXIT
    ${isNew ? `${kinds[type].mkfs} $device` : ""}
    mount -t ${type} $device "$1"`;
  await runOrThrow("sh", ["-ec", script, image, path], signal ? { signal } : {});
}

/** Makes a directory for a run, if possible on a disk, as most tests need one. It is locked while this process lives. */
export async function makeWorkDirectory(): Promise<string> {
  const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
  const onDisk = [temporary, "/var/tmp"].filter(exists).map((path) => Deno.realPathSync(path))
    .find((path) => mountOf(path).type !== "tmpfs");
  const parent = onDisk ?? Deno.realPathSync(temporary);
  await takeDownStale(parent);
  const directory = await Deno.makeTempDir({ dir: parent, prefix: "dma-test-" });
  // Tests that drop root must still reach their directories.
  await Deno.chmod(directory, 0o755);
  const lock = await Deno.open(`${directory}/lock`, { createNew: true, write: true });
  // The lock is never closed: the kernel releases it when this process ends, however it ends.
  await lock.lock(true);
  return directory;
}

/**
 * Runs a program of the tests in a {@linkcode makeWorkDirectory}, which is taken down afterwards. The first signal that would
 * end the process aborts the signal of `main` instead. Resolves to the exit code: 0 if `main` resolves to true.
 */
export async function runMain(main: (directory: string, signal: AbortSignal) => Promise<boolean>) {
  const stop = new AbortController();
  let exitCode = 1;
  for (const [name, number] of [["SIGHUP", 1], ["SIGINT", 2], ["SIGTERM", 15]] as const) {
    Deno.addSignalListener(name, () => {
      if (stop.signal.aborted) return;
      exitCode = 128 + number;
      say(`${name}: stopping`);
      stop.abort(new DOMException(`Stopped by ${name}`, "AbortError"));
    });
  }
  const directory = await makeWorkDirectory();
  let isGood = false;
  try {
    isGood = await main(directory, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) console.error(error);
  }
  await takeDown(directory);
  return isGood && !stop.signal.aborted ? 0 : exitCode;
}

/** Mounts all possible file systems below `directory`. Resolves to their paths, and to the number of the others. */
export async function mountFileSystems(directory: string, signal: AbortSignal) {
  const total = Object.keys(kinds).length * sectorSizes.length + 1;
  if (Deno.uid() !== 0) {
    say(`Not root: ${total} extra file systems are skipped`);
    return { mounted: [], skipped: total };
  }
  const { bavail, bsize } = statfsSync(directory);
  // Tests may fill all images, which must take at most half of the free space.
  const room = Math.floor(bavail * bsize / 2 / (total - 1) / MiB) * MiB;
  const size = Math.min(imageSize, room);
  const mounted: string[] = [];
  const attempt = async (name: string, make: (path: string) => Promise<void>) => {
    signal.throwIfAborted();
    const path = `${directory}/${name}`;
    try {
      await Deno.mkdir(path);
      await make(path);
      // Only root may write to the root directory of a new file system.
      await Deno.chmod(path, 0o1777);
      mounted.push(path);
    } catch (error) {
      signal.throwIfAborted();
      say(`${name} is skipped: ${error instanceof Error ? error.message : error}`);
    }
  };
  for (const type of Object.keys(kinds) as FileSystem[]) {
    for (const sectorSize of sectorSizes) {
      await attempt(`${type}-${sectorSize}`, async (path) => {
        const { least } = kinds[type];
        if (size < least) throw new Error(`There is room for ${size} of ${least} needed bytes`);
        await Deno.writeFile(`${path}.img`, new Uint8Array());
        await Deno.truncate(`${path}.img`, size);
        const options = ["--sector-size", `${sectorSize}`];
        await mountImage(type, `${path}.img`, path, { isNew: true, options, signal });
      });
    }
  }
  await attempt("tmpfs", async (path) => {
    await runOrThrow("mount", ["-t", "tmpfs", "-o", "size=1g", "dma-test", path], { signal });
  });
  const names = mounted.map((path) => path.slice(directory.length + 1));
  say(`Mounted ${names.join(", ")} below ${directory} (${size / MiB} MiB each, sparse)`);
  return { mounted, skipped: total - mounted.length };
}

/** Unmounts what the kernel lists below `directory`, also after an incomplete setup or by tests, and removes it. */
export async function takeDown(directory: string): Promise<void> {
  for (const path of mountsBelow(directory)) {
    if (await unmount(path)) continue;
    say(`${path} is still in use: it is unmounted when its last user ends`);
  }
  try {
    await Deno.remove(directory, { recursive: true });
  } catch (error) {
    say(`${directory} cannot be removed: ${error}`);
  }
}

/** Removes the directories of killed runs: these are not locked. */
async function takeDownStale(parent: string): Promise<void> {
  for (const { name, isDirectory } of [...Deno.readDirSync(parent)]) {
    if (!isDirectory || !name.startsWith("dma-test-")) continue;
    const directory = `${parent}/${name}`;
    try {
      using lock = await Deno.open(`${directory}/lock`, { write: true });
      if (!await lock.tryLock(true)) continue;
    } catch {
      // The directory belongs to another user, or is just being made.
      continue;
    }
    say(`Removing the files of an earlier run: ${directory}`);
    await takeDown(directory);
  }
}
