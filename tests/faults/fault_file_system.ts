// A file system in which the operation that a test chooses fails, is cut short, or takes its time.

import { folderTest, whileUp } from "./machine.ts";
import { Daemon } from "./tools.ts";

export const operations = [
  "open",
  "read",
  "write",
  "fsync",
  "truncate",
  "fallocate",
  "rename",
  "unlink",
  "getattr",
  "flush",
  "fsyncdir",
] as const;

/** One of them. `flush` is what closing a descriptor asks. */
export type Operation = typeof operations[number];

/** What shall happen to an operation. */
export interface Fault {
  operation: Operation;
  /** Which one, counted from 1. */
  nth: number;
  /** The number of an error, or how many bytes are moved at most, or milliseconds. */
  kind: "err" | "short" | "delay";
  value: number;
  /** Those after it as well. */
  persistent?: boolean;
}

/** A directory, mounted as a file system of its own. */
export class FaultFileSystem implements AsyncDisposable {
  private constructor(
    readonly daemon: Daemon,
    /** Where it is mounted. */
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

  /** Takes all faults back, empties the directory, and counts anew. */
  async reset(): Promise<void> {
    await this.daemon.command("clear");
    // By way of the mount: the kernel must not remember what is gone.
    const names = [...Deno.readDirSync(this.backing)];
    for (const { name } of names) await Deno.remove(`${this.path}/${name}`);
    await this.daemon.command("anew");
  }

  /** Lets a fault wait for its operation. */
  async inject({ operation, nth, kind, value, persistent }: Fault): Promise<void> {
    const count = persistent ? -1 : 1;
    await this.daemon.command(`fault ${operation} ${nth} ${kind} ${value} ${count}`);
  }

  /** How often faults fired since {@linkcode reset}. */
  async fired(): Promise<number> {
    return (await this.daemon.counts()).fired!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await Deno.remove(this.path);
  }
}

/** Registers a test with such a file system of its own, with these flags. */
export function serverTest(
  name: string,
  fn: (server: FaultFileSystem) => Promise<void>,
  flags: readonly string[] = [],
): void {
  folderTest(name, { needs: ["root", "gcc", "fuse"] }, async (directory) => {
    await whileUp(await FaultFileSystem.open(directory, flags), fn);
  });
}
