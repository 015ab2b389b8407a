// Small file systems that a test may break, on loop devices over a disk of tests/tools/faultfs.c.

import { statfsSync } from "node:fs";
import { ioStats } from "../../mod.ts";
import { eventually, runOrThrow } from "../setup/command.ts";
import { type FileSystem, kinds, mountImage } from "../setup/file_systems.ts";
import { unmount } from "../setup/mounts.ts";
import { FaultFileSystem } from "./fault_file_system.ts";
import { folderTest } from "./machine.ts";

/** The file systems with a journal or copies on write, in which a crash means something. */
export const fileSystems = Object.keys(kinds) as FileSystem[];

/** A file system on a loop device over a file, mounted. */
export class Disk implements AsyncDisposable {
  private constructor(
    readonly type: FileSystem,
    readonly backing: string,
    readonly path: string,
  ) {}

  /** Mounts the file system in `backing`, or a new one, on the new directory `path`. */
  static async open(type: FileSystem, backing: string, path: string, isNew = false): Promise<Disk> {
    const disk = new Disk(type, backing, path);
    await Deno.mkdir(path);
    await disk.mount(isNew);
    await Deno.chmod(path, 0o1777);
    return disk;
  }

  async mount(isNew = false): Promise<void> {
    // Past the page cache of `backing`, so that errors and flushes reach it.
    const options = ["--direct-io=on"];
    await mountImage(this.type, this.backing, this.path, { isNew, options });
  }

  async unmount(): Promise<void> {
    if (!await unmount(this.path)) throw new Error(`${this.path} is in use`);
  }

  file(name: string): string {
    return `${this.path}/${name}`;
  }

  get free(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** The start and the end of a range of a file on the device. The range must be in one piece. */
  async extent(path: string, position: number, length: number): Promise<[number, number]> {
    const listing = await runOrThrow("filefrag", ["-v", "-b1", path]);
    for (const match of listing.matchAll(/^\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+(\d+)\.\./gm)) {
      const [start, end, physical] = match.slice(1).map(Number) as [number, number, number];
      const from = physical + position - start;
      if (position >= start && position + length <= end + 1) return [from, from + length];
    }
    throw new Error(`${path} has no piece at ${position}:\n${listing}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
    await Deno.remove(this.path);
  }
}

/** The bytes of a disk in memory, of which only written ones take space. */
const DISK_BYTES = 320 << 20;

/** Registers a test for each type, on a new disk that obeys commands to `memory`. In the end nothing may be in use. */
export function diskTest(
  name: string,
  fn: (disk: Disk, memory: FaultFileSystem, directory: string) => Promise<void>,
  { types = fileSystems, needs = [] }: { types?: readonly FileSystem[]; needs?: string[] } = {},
): void {
  for (const type of types) {
    folderTest(`${name} [${type}]`, async (directory) => {
      await Deno.mkdir(`${directory}/backing`);
      await Deno.writeFile(`${directory}/backing/disk`, new Uint8Array());
      await Deno.truncate(`${directory}/backing/disk`, DISK_BYTES);
      await using memory = await FaultFileSystem.open(directory, ["cached", "disk"]);
      await using disk = await Disk.open(type, `${memory.path}/disk`, `${directory}/mount`, true);
      // Without faults, so that it can be unmounted.
      await using _ = { [Symbol.asyncDispose]: () => memory.command("clear") };
      await fn(disk, memory, directory);
      // At once, or after a close that is not awaited.
      const used = () => ioStats().inFlight + ioStats().poolBuffers;
      await eventually(() => used() === 0, "Nothing is in flight, and no buffer in use");
    }, ["root", "gcc", "loop", "fuse", `mkfs.${type}`, ...needs]);
  }
}
