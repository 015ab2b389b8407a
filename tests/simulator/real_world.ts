// A directory of a real file system: the module's own engine, under programs that run in virtual time. Only the
// kernel's own failures occur, and the power is not cut.

import type { KernelEngine } from "../../src/engine/kernel_engine.ts";
import { Clock } from "./kernel/clock.ts";
import { Faults } from "./kernel/faults.ts";
import { RealFile } from "./kernel/real_file.ts";
import { TimedKernel, type WorldOptions } from "./kernel/kernel.ts";
import { RealMachine } from "./kernel/real_machine.ts";
import type { Listing, Place } from "./oracle/expected_names.ts";
import { BUDGETS, DIRECTORIES, drawFiles, type World } from "./world.ts";

/** A real directory, and the engine of the real kernel. */
export interface RealPlace {
  readonly directory: string;
  readonly engine: KernelEngine;
}

/** Implements {@linkcode World} on the real kernel. */
export class RealWorld implements World {
  readonly root: string;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly isLimited = false;
  readonly exactTails = false;
  readonly answersEarly = false;
  readonly kernel: TimedKernel;
  readonly #files = new Map<number, RealFile>();
  readonly #before = Deno.cwd();
  readonly #device: number;

  /** Uses a new directory in `directory`. */
  constructor({ random, violated, trace }: WorldOptions, { directory, engine }: RealPlace) {
    this.root = Deno.makeTempDirSync({ dir: Deno.realPathSync(directory), prefix: "simulate-" });
    this.#device = Deno.statSync(this.root).dev;
    this.clock = new Clock(random.fork());
    // Only the kernel's own failures occur.
    this.faults = Faults.none(random);
    for (const name of DIRECTORIES) {
      Deno.mkdirSync(`${this.root}/${name}`);
      for (const [file, content] of drawFiles(random)) {
        Deno.writeFileSync(`${this.root}/${name}/${file}`, content);
        this.fileAt(`${this.root}/${name}/${file}`);
      }
    }
    Deno.chdir(this.root);
    const machine = new RealMachine(engine, (fd) => this.fileAt(`/proc/self/fd/${fd}`));
    const options = { random: random.fork(), violated, trace };
    this.kernel = new TimedKernel(machine, this.clock, random.pick(BUDGETS), options);
  }

  get description(): string {
    return `the file system of ${this.root}`;
  }

  dispose(): void {
    this.kernel.dispose();
    for (const file of this.#files.values()) file.close();
    Deno.chdir(this.#before);
    Deno.removeSync(this.root, { recursive: true });
  }

  #folders(): string[] {
    return [this.root, ...DIRECTORIES.map((name) => `${this.root}/${name}`)];
  }

  // ---- files and names --------------------------------------------------------------------------------------------

  fileAt(path: string): RealFile | undefined {
    const info = statSync(path);
    if (!info?.isFile || info.dev !== this.#device) return undefined;
    let file = this.#files.get(info.ino!);
    if (!file) this.#files.set(info.ino!, file = new RealFile(path));
    return file;
  }

  fileOf(inode: number): RealFile | undefined {
    return this.#files.get(inode);
  }

  placeOf(path: string): Place | undefined {
    const slash = path.lastIndexOf("/");
    const directory = statSync(slash < 0 ? "." : path.slice(0, slash));
    return directory?.isDirectory ? `${directory.ino}/${path.slice(slash + 1)}` : undefined;
  }

  listing(): Listing {
    const listing = new Map<Place, number>();
    for (const directory of this.#folders()) {
      const { ino } = Deno.statSync(directory);
      for (const { name, isFile } of Deno.readDirSync(directory)) {
        if (isFile) listing.set(`${ino}/${name}`, this.fileAt(`${directory}/${name}`)!.inode);
      }
    }
    return listing;
  }

  changeDirectory(path: string): void {
    Deno.chdir(path);
  }

  // ---- other processes --------------------------------------------------------------------------------------------

  append(path: string, bytes: Uint8Array): void {
    Deno.writeFileSync(path, bytes, { append: true, create: false });
  }

  truncate(path: string, length: number): void {
    Deno.truncateSync(path, length);
  }

  rename(from: string, to: string): void {
    Deno.renameSync(from, to);
  }

  remove(path: string): void {
    Deno.removeSync(path);
  }

  replace(path: string, bytes: Uint8Array): void {
    const beside = `${path}.new`;
    Deno.writeFileSync(beside, bytes);
    Deno.renameSync(beside, path);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  cut(): undefined {
    // The durable content of a real disk cannot be observed.
  }

  /** The descriptors of this process that lead into this directory, named or not. */
  countDescriptors(): number {
    const inodes = this.#folders().map((path) => Deno.statSync(path).ino!);
    const here = new Set([...this.#files.keys(), ...inodes]);
    const all = [...Deno.readDirSync("/proc/self/fd")];
    const found = all.map(({ name }) => statSync(`/proc/self/fd/${name}`));
    const count = found.filter((each) => each?.dev === this.#device && here.has(each.ino!)).length;
    return count - this.#files.size;
  }
}

/** The file or directory that a descriptor leads to, or a path. */
function statSync(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
