// Small file systems that a test may break: on loop devices, over a file or over the disk made of memory.

import { run, runOrThrow } from "../setup/command.ts";
import {
  type FaultTestOptions,
  folderTest,
  inWorkDirectory,
  type Need,
  whileUp,
} from "./machine.ts";
import { Daemon } from "./tools.ts";

export type FileSystem = "ext4" | "xfs" | "btrfs";

/** The file systems with a journal or copies on write, in which a crash means something. */
export const fileSystems: readonly FileSystem[] = ["ext4", "xfs", "btrfs"];

const mkfs: Record<FileSystem, { args: string[]; megabytes: number }> = {
  ext4: { args: ["mkfs.ext4", "-q", "-F", "-m", "0"], megabytes: 64 },
  // 300 MiB are the least that mkfs.xfs makes.
  xfs: { args: ["mkfs.xfs", "-q", "-f"], megabytes: 310 },
  btrfs: { args: ["mkfs.btrfs", "-q", "-f"], megabytes: 128 },
};

/** Megabytes of the smallest useful disk. */
export function smallest(type: FileSystem): number {
  return mkfs[type].megabytes;
}

export interface LoopOptions {
  /** Past the page cache of the file below, so that errors come through and a flush is one. */
  direct?: boolean;
}

/** Whoever was killed a moment ago may still hold a file. */
async function repeatedly(program: string, args: string[]): Promise<void> {
  for (let tried = 0;; tried++) {
    const { success, output } = await run(program, args);
    if (success) return;
    if (tried === 30) throw new Error(`${program} ${args.join(" ")}: ${output.trim()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A file system on a loop device over a file, mounted. The device goes with the mount, however that goes. */
export class LoopMount implements AsyncDisposable {
  #mounted = false;

  private constructor(
    readonly backing: string,
    readonly type: FileSystem,
    /** Where it is mounted. */
    readonly path: string,
    readonly options: LoopOptions,
  ) {}

  /** Makes a file system in `backing` and mounts it on the new directory `path`. */
  static async make(
    backing: string,
    path: string,
    type: FileSystem,
    options: LoopOptions = {},
  ): Promise<LoopMount> {
    const mount = new LoopMount(backing, type, path, options);
    const [program = "", ...args] = mkfs[type].args;
    const device = await mount.#attach();
    try {
      await runOrThrow(program, [...args, device]);
    } finally {
      await run("losetup", ["--detach", device]);
    }
    await Deno.mkdir(path);
    await mount.mount();
    await Deno.chmod(path, 0o1777);
    return mount;
  }

  /** Mounts the file system that is in `backing` on the new directory `path`. */
  static async open(backing: string, path: string, type: FileSystem): Promise<LoopMount> {
    const mount = new LoopMount(backing, type, path, {});
    await Deno.mkdir(path);
    await mount.mount();
    return mount;
  }

  async #attach(): Promise<string> {
    const options = this.options.direct ? ["--direct-io=on"] : [];
    return await runOrThrow("losetup", ["--find", "--show", ...options, this.backing]);
  }

  async mount(): Promise<void> {
    const device = await this.#attach();
    try {
      await runOrThrow("mount", ["-t", this.type, device, this.path]);
      this.#mounted = true;
    } finally {
      // While it is mounted this only makes it go afterwards.
      await run("losetup", ["--detach", device]);
    }
  }

  async unmount(): Promise<void> {
    if (!this.#mounted) return;
    this.#mounted = false;
    await repeatedly("umount", [this.path]).catch(async (error) => {
      // It goes with the last file that is open there.
      await run("umount", ["--lazy", this.path]);
      throw error;
    });
  }

  /** What a file system has in memory is gone after this: only what is on its disk counts. */
  async remount(): Promise<void> {
    await this.unmount();
    await this.mount();
  }

  /** The bytes that are free. */
  async free(): Promise<number> {
    const { bavail, bsize } = (await import("node:fs")).statfsSync(this.path);
    return bavail * bsize;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
    await Deno.remove(this.path);
  }
}

/** Registers a test on a small fresh file system over a sparse file, with a directory beside it. */
export function smallDiskTest(
  name: string,
  type: FileSystem,
  options: FaultTestOptions,
  fn: (disk: LoopMount, directory: string) => Promise<void>,
): void {
  const needs: Need[] = ["root", "loop", type];
  folderTest(`${name} [${type}]`, { needs, ...options }, async (directory) => {
    const image = `${directory}/${type}.img`;
    await Deno.writeFile(image, new Uint8Array());
    await Deno.truncate(image, smallest(type) << 20);
    const disk = await LoopMount.make(image, `${directory}/${type}`, type);
    await whileUp(disk, (disk) => fn(disk, directory), () => disk[Symbol.asyncDispose]());
  });
}

/** A disk made of memory that fails as it is told to, with a file system on it. */
export class FaultyDisk implements AsyncDisposable {
  private constructor(
    readonly disk: Daemon,
    readonly mount: LoopMount,
    readonly directory: string,
  ) {}

  /** Makes one. Everything of it lies below `directory`. */
  static async open(
    directory: string,
    type: FileSystem,
    megabytes: number = smallest(type),
  ): Promise<FaultyDisk> {
    const below = await Deno.makeTempDir({ dir: directory, prefix: `${type}-` });
    await Deno.mkdir(`${below}/memory`);
    const disk = await Daemon.start("vdisk", [`${below}/memory`, String(megabytes)]);
    try {
      const mount = await LoopMount.make(`${below}/memory/disk`, `${below}/mount`, type, {
        direct: true,
      });
      return new FaultyDisk(disk, mount, below);
    } catch (error) {
      await disk[Symbol.asyncDispose]();
      throw error;
    }
  }

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
    for (const line of listing.split("\n")) {
      const match = /^\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+(\d+)\.\./.exec(line);
      if (!match) continue;
      const [start, end, physical] = match.slice(1).map(Number) as [number, number, number];
      if (position >= start && position + length <= end + 1) {
        const from = physical + position - start;
        return { from, to: from + length };
      }
    }
    throw new Error(`${path} has no piece at ${position}:\n${listing}`);
  }

  /** Takes all faults back and everything down. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.disk.command("clear");
    try {
      await this.mount[Symbol.asyncDispose]();
    } finally {
      await this.disk[Symbol.asyncDispose]();
    }
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Runs `fn` with a {@linkcode FaultyDisk}, and a directory beside it. */
export function onFaultyDisk(
  type: FileSystem,
  megabytes: number,
  fn: (disk: FaultyDisk, directory: string) => Promise<void>,
): Promise<void> {
  return inWorkDirectory(async (directory) => {
    const disk = await FaultyDisk.open(directory, type, megabytes);
    await whileUp(disk, (disk) => fn(disk, directory), () => disk[Symbol.asyncDispose]());
  });
}
