// A file system in which the operation that a test chooses fails, is shortened, or is delayed.

import { folderTest, whileUp } from "./machine.ts";
import { Daemon } from "./tools.ts";

/** A directory, mounted as a separate file system. */
export class FaultFileSystem implements AsyncDisposable {
  private constructor(
    readonly daemon: Daemon,
    /** The mount point. */
    readonly path: string,
    /** The same files without faults. */
    readonly backing: string,
  ) {}

  /** Mounts one below `directory`, with flags of tests/tools/faultfs.c. */
  static async open(directory: string, flags: readonly string[] = []): Promise<FaultFileSystem> {
    const [path, backing] = [`${directory}/faulty`, `${directory}/backing`];
    await Deno.mkdir(path);
    await Deno.mkdir(backing);
    const daemon = await Daemon.start("faultfs", [path, backing, ...flags]);
    return new FaultFileSystem(daemon, path, backing);
  }

  /** Adds a fault, as {@linkcode Daemon.fault}. */
  fault(rule: string): Promise<void> {
    return this.daemon.fault(rule);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await Deno.remove(this.path);
  }
}

/** Registers a test with such a file system, with these flags. */
export function serverTest(
  name: string,
  fn: (server: FaultFileSystem) => Promise<void>,
  flags: readonly string[] = [],
): void {
  folderTest(name, ["root", "gcc", "fuse"], async (directory) => {
    await whileUp(await FaultFileSystem.open(directory, flags), fn);
  });
}
