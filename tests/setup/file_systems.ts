// Makes one small file system of each kind that matters to Direct I/O, mounts them, and removes everything afterwards.

import { statfsSync } from "node:fs";
import { exists, pause, run, runOrThrow, say } from "./command.ts";
import { isWithin } from "../../cli/system_facts.ts";
import { mountOf, mountsBelow, unmount } from "./mounts.ts";

const MiB = 1024 * 1024;

/** The images are sparse, so they take only the space that the tests use. */
const imageSize = 2048 * MiB;

/** The file systems. `least` is the smallest image for mkfs and a few tests. */
export const kinds = {
  ext4: { least: 64 * MiB, mkfs: "mkfs.ext4 -q -F -m 0" },
  // mkfs.xfs makes no smaller one than 300 MiB.
  xfs: { least: 320 * MiB, mkfs: "mkfs.xfs -q -f" },
  btrfs: { least: 128 * MiB, mkfs: "mkfs.btrfs -q -f" },
};

/** A disk with 4096-byte sectors refuses what one with 512-byte sectors takes. */
const sectorSizes = [512, 4096];

/** Attempts to detach, a tenth of a second apart: a process that was just killed may still hold a file. */
const takeDownTries = 20;

/**
 * Makes a fresh directory for all files of a run, if possible on a disk, because most tests have no effect on tmpfs. The
 * directory stays locked while this process lives.
 */
export async function makeWorkDirectory(): Promise<string> {
  const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
  const onDisk = [temporary, "/var/tmp"].find((path) => exists(path) && !isTmpfs(path));
  const parent = Deno.realPathSync(onDisk ?? temporary);
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
 * Mounts all file systems that this machine supports below `directory`.
 *
 * @returns The mounted directories, and the number of file systems that could not be mounted.
 */
export async function mountFileSystems(
  directory: string,
  signal: AbortSignal,
): Promise<{ mounted: string[]; skipped: number }> {
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
  for (const [type, { least, mkfs }] of Object.entries(kinds)) {
    for (const sectorSize of sectorSizes) {
      await attempt(`${type}-${sectorSize}`, async (path) => {
        if (size < least) {
          throw new Error(`The disk has room for ${size} bytes, and ${least} are needed`);
        }
        const script = `truncate -s ${size} "$0.img"
          device=$(losetup --find --show --sector-size ${sectorSize} "$0.img")
          ${mkfs} $device; mount -t ${type} $device "$0"`;
        await runOrThrow("sh", ["-ec", script, path], { signal });
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

/**
 * Unmounts all mounts below `directory`, detaches the loop devices of its files, and removes it. It gets the list from the
 * kernel, so it also works after an incomplete setup, and for mounts that tests have added.
 */
export async function takeDown(directory: string): Promise<void> {
  for (const path of mountsBelow(directory)) {
    if (await unmount(path)) continue;
    say(`${path} is still in use: it is unmounted when its last user ends`);
  }
  await detachLoopDevices(directory);
  try {
    await Deno.remove(directory, { recursive: true });
  } catch (error) {
    say(`${directory} cannot be removed: ${error}`);
  }
}

async function detachLoopDevices(directory: string): Promise<void> {
  let devices = await loopDevicesBelow(directory);
  for (let tried = 0; tried < takeDownTries && devices.length > 0; tried++) {
    for (const device of devices) await run("losetup", ["--detach", device]);
    devices = await loopDevicesBelow(directory);
    if (devices.length > 0) await pause(100);
  }
  // The kernel detaches them at the last close.
  if (devices.length > 0) {
    say(`Still in use, and detached at the last close: ${devices.join(", ")}`);
  }
}

async function loopDevicesBelow(directory: string): Promise<string[]> {
  const { stdout } = await run("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"]);
  return [...stdout.matchAll(/^(\S+)\s+(.*)$/gm)]
    .filter(([, , file]) => isWithin(file!, directory)).map(([, name]) => name!);
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

function isTmpfs(path: string): boolean {
  return mountOf(Deno.realPathSync(path)).type === "tmpfs";
}
