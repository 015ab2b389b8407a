// The world of a program: a simulated kernel over a tree of directories, and other processes.

import { Clock } from "./kernel/clock.ts";
import { DescriptorTable } from "./kernel/descriptors.ts";
import { DirectoryTree } from "./kernel/directory_tree.ts";
import { Faults } from "./kernel/faults.ts";
import { aDisk, drawFileSystem, type FileSystemKind } from "./kernel/file_systems.ts";
import { type KernelOptions, SimulatedKernel } from "./kernel/simulated_kernel.ts";
import { bytesOf } from "./program/bytes.ts";
import type { Random } from "./random.ts";

/** Names of the directories in every world. */
export const DIRECTORIES: readonly string[] = ["a", "b"];

/** The memory budgets of streams. */
export const BUDGETS: readonly number[] = [64 << 20, 64 << 20, 512 << 10, 0];

/** The initial files of a directory. */
export function* drawFiles(random: Random): Generator<[name: string, content: Uint8Array]> {
  for (const file of ["one", "two"]) {
    if (!random.chance(0.5)) continue;
    const length = random.pick([0, 5, 512, 4096, 5000, random.below(20_000)]);
    yield [file, bytesOf(random.seed(), length)];
  }
}

const ROOT = "disk";

let lastMount = 0n;

export interface WorldOptions
  extends Pick<KernelOptions, "random" | "violated" | "trace" | "mirror"> {
  /** Whether faults may occur. */
  readonly faulty: boolean;
}

/** The machine below a program. */
export class World {
  readonly root = `/${ROOT}`;
  readonly kind: FileSystemKind;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly kernel: SimulatedKernel;
  readonly tree: DirectoryTree = new DirectoryTree();
  readonly descriptors: DescriptorTable;

  constructor({ random, violated, trace, faulty, mirror }: WorldOptions) {
    const kind = drawFileSystem(random);
    this.kind = mirror ? aDisk : kind;
    this.clock = new Clock(random.fork());
    this.#populate(random);
    this.faults = new Faults(random.fork(), faulty);
    const own = random.fork();
    const budget = random.pick(BUDGETS);
    const reuses = random.chance(0.5);
    // Without free descriptors the module cannot read the name of the server.
    const isShort = random.chance(0.1) && !this.answersEarly && !mirror;
    this.descriptors = new DescriptorTable(reuses, isShort ? random.between(2, 10) : 1000);
    const { tree, descriptors, clock, faults } = this;
    const mount = { kind: this.kind, tree, mountId: ++lastMount };
    const shared = { mount, descriptors, clock, faults, mirror, budget };
    const options = { ...shared, random: own, violated, trace };
    this.kernel = new SimulatedKernel(options);
  }

  #populate(random: Random): void {
    const disk = this.tree.makeDirectory(this.tree.root, ROOT);
    for (const name of DIRECTORIES) {
      const directory = this.tree.makeDirectory(disk, name);
      for (const [file, content] of drawFiles(random)) {
        const made = this.tree.makeFile();
        made.write(0, content);
        made.makeDurable(made.changes);
        this.tree.place(directory, file, made);
      }
    }
    this.tree.workingDirectory = disk;
  }

  get description(): string {
    return `${this.kind.name}, without ${[...this.kind.lacks].join(", ") || "nothing"}`;
  }

  get exactTails(): boolean {
    return this.kind.server !== undefined;
  }

  get answersEarly(): boolean {
    return this.kind.answersEarly === true;
  }

  get isLimited(): boolean {
    return this.kind.lacks.size > 0;
  }
}
