// Small file systems that a test may break: on loop devices, over a file or over the disk made of memory.

import { statfsSync } from "node:fs";
import { run, runOrThrow } from "../setup/command.ts";
import { kinds } from "../setup/file_systems.ts";
import { unmount } from "../setup/mounts.ts";
import { assertIdle } from "./failed_writer.ts";
import { type FaultTestOptions, folderTest, inWorkDirectory, whileUp } from "./machine.ts";
import { Daemon } from "./tools.ts";

export type FileSystem = keyof typeof kinds;

/** The file systems with a journal or copies on write, in which a crash means something. */
export const fileSystems = Object.keys(kinds) as FileSystem[];

/** Megabytes of the smallest useful disk. */
export function smallest(type: FileSystem): number {
  return kinds[type].least >> 20;
}

/** A file system on a loop device over a file, mounted. The device goes with the mount, however that goes. */
export class LoopMount implements AsyncDisposable {
  #mounted = false;

  private constructor(
    readonly type: FileSystem,
    readonly backing: string,
    /** Where it is mounted. */
    readonly path: string,
    /** Options of losetup. */
    readonly options: readonly string[] = [],
  ) {}

  /**
   * Makes a file system in `backing` and mounts it on the new directory `path`. With `direct` it is past the page cache of
   * `backing`, so that errors come through and a flush is one.
   */
  static async make(
    type: FileSystem,
    backing: string,
    path: string,
    direct = false,
  ): Promise<LoopMount> {
    const mount = new LoopMount(type, backing, path, direct ? ["--direct-io=on"] : []);
    const [program = "", ...args] = kinds[type].mkfs.split(" ");
    await mount.#withDevice((device) => runOrThrow(program, [...args, device]));
    await Deno.mkdir(path);
    await mount.mount();
    await Deno.chmod(path, 0o1777);
    return mount;
  }

  /** Mounts the file system that is in `backing` on the new directory `path`. */
  static async open(type: FileSystem, backing: string, path: string): Promise<LoopMount> {
    const mount = new LoopMount(type, backing, path);
    await Deno.mkdir(path);
    await mount.mount();
    return mount;
  }

  async #withDevice(use: (device: string) => Promise<unknown>): Promise<void> {
    const device = await runOrThrow("losetup", ["-f", "--show", ...this.options, this.backing]);
    // While it is mounted, to detach it only makes it go afterwards.
    await use(device).finally(() => run("losetup", ["--detach", device]));
  }

  async mount(): Promise<void> {
    await this.#withDevice((device) => runOrThrow("mount", ["-t", this.type, device, this.path]));
    this.#mounted = true;
  }

  async unmount(): Promise<void> {
    if (!this.#mounted) return;
    this.#mounted = false;
    if (!await unmount(this.path)) throw new Error(`${this.path} is in use`);
  }

  /** What a file system has in memory is gone after this: only what is on its disk counts. */
  async remount(): Promise<void> {
    await this.unmount();
    await this.mount();
  }

  /** The bytes that are free. */
  get free(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
    await Deno.remove(this.path);
  }
}

export interface DiskTestOptions extends FaultTestOptions {
  /** @default {fileSystems} */
  types?: readonly FileSystem[];
}

/**
 * Registers a test once for each type, on a small fresh file system over a sparse file, with a directory beside it.
 * Afterwards nothing of this module may be in use.
 */
export function smallDiskTest(
  name: string,
  fn: (disk: LoopMount, directory: string) => Promise<void>,
  { types = fileSystems, ...options }: DiskTestOptions = {},
): void {
  for (const type of types) {
    const needs = ["root", "loop", type] as const;
    folderTest(`${name} [${type}]`, { needs, ...options }, async (directory) => {
      const image = `${directory}/${type}.img`;
      await Deno.writeFile(image, new Uint8Array());
      await Deno.truncate(image, smallest(type) << 20);
      await whileUp(await LoopMount.make(type, image, `${directory}/${type}`), async (disk) => {
        await fn(disk, directory);
        await assertIdle();
      });
    });
  }
}

/** A disk made of memory that fails as it is told to, with a file system on it. */
export class FaultyDisk {
  constructor(readonly disk: Daemon, readonly mount: LoopMount) {}

  /** The path of a file on it. */
  file(name: string): string {
    return `${this.mount.path}/${name}`;
  }

  /** The bytes of the device where `length` bytes of a file from `position` on lie. They must be in one piece. */
  async extent(
    path: string,
    position: number,
    length: number,
  ): Promise<{ from: number; to: number }> {
    const listing = await runOrThrow("filefrag", ["-v", "-b1", path]);
    for (const match of listing.matchAll(/^\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+(\d+)\.\./gm)) {
      const [start, end, physical] = match.slice(1).map(Number) as [number, number, number];
      const from = physical + position - start;
      if (position >= start && position + length <= end + 1) return { from, to: from + length };
    }
    throw new Error(`${path} has no piece at ${position}:\n${listing}`);
  }
}

/** Runs `fn` with a {@linkcode FaultyDisk}, and the directory in which it lies. */
export function onFaultyDisk(
  type: FileSystem,
  megabytes: number,
  fn: (disk: FaultyDisk, directory: string) => Promise<void>,
): Promise<void> {
  return inWorkDirectory(async (directory) => {
    const memory = `${directory}/memory`;
    await Deno.mkdir(memory);
    await whileUp(await Daemon.start("vdisk", [memory, String(megabytes)]), async (disk) => {
      const mount = await LoopMount.make(type, `${memory}/disk`, `${directory}/mount`, true);
      await whileUp(mount, async () => {
        // Without its faults, so that it can be unmounted.
        const working = { [Symbol.asyncDispose]: async () => void await disk.command("clear") };
        await whileUp(working, () => fn(new FaultyDisk(disk, mount), directory));
      });
    });
  });
}
