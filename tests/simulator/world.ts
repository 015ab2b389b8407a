// The world of a program: a simulated kernel over a tree of directories, and other processes.

import { Clock } from "./kernel/clock.ts";
import { DescriptorTable } from "./kernel/descriptors.ts";
import { DirectoryTree, type Node, type SimulatedDirectory } from "./kernel/directory_tree.ts";
import { Faults } from "./kernel/faults.ts";
import { drawFileSystem, type FileSystemKind } from "./kernel/file_systems.ts";
import { type FileImage, type Kept, SimulatedFile } from "./kernel/simulated_file.ts";
import { type KernelOptions, SimulatedKernel } from "./kernel/simulated_kernel.ts";
import type { Listing, Place } from "./oracle/expected_names.ts";
import { bytesOf } from "./program/bytes.ts";
import type { Random } from "./random.ts";

export interface CutImage {
  readonly names: Listing;
  /** Files by inode, with or without a name. */
  readonly file: (inode: number) => FileImage | undefined;
}

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

export interface WorldOptions extends Pick<KernelOptions, "random" | "violated" | "trace"> {
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
  readonly #random: Random;
  readonly #tree = new DirectoryTree();
  readonly #descriptors: DescriptorTable;

  constructor({ random, violated, trace, faulty }: WorldOptions) {
    this.#random = random;
    this.kind = drawFileSystem(random);
    this.clock = new Clock(random.fork());
    this.#populate();
    this.faults = faulty ? Faults.draw(random.fork()) : Faults.none(random.fork());
    const own = random.fork();
    const budget = random.pick(BUDGETS);
    const reuses = random.chance(0.5);
    // Without free descriptors the module cannot read the name of the server.
    const isShort = random.chance(0.1) && !this.answersEarly;
    this.#descriptors = new DescriptorTable(reuses, isShort ? random.between(2, 10) : 1000);
    const descriptors = this.#descriptors;
    const mount = { kind: this.kind, tree: this.#tree, mountId: ++lastMount };
    const { clock, faults } = this;
    const options = { mount, descriptors, clock, faults, budget, random: own, violated, trace };
    this.kernel = new SimulatedKernel(options);
  }

  #populate(): void {
    const disk = this.#tree.makeDirectory(this.#tree.root, ROOT);
    for (const name of DIRECTORIES) {
      const directory = this.#tree.makeDirectory(disk, name);
      for (const [file, content] of drawFiles(this.#random)) {
        const made = this.#tree.makeFile();
        made.write(0, content);
        made.makeDurable(made.changes);
        this.#tree.place(directory, file, made);
      }
    }
    this.#tree.workingDirectory = disk;
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

  dispose(): void {
    this.kernel.dispose();
  }

  // ---- files and names --------------------------------------------------------------------------------------------

  #look(path: string): Node | undefined {
    return this.#tree.lookUp(this.#tree.workingDirectory, path);
  }

  #resolve(path: string) {
    return this.#tree.resolve(this.#tree.workingDirectory, path);
  }

  fileAt(path: string): SimulatedFile | undefined {
    const node = this.#look(path);
    return node instanceof SimulatedFile ? node : undefined;
  }

  fileOf(inode: number): SimulatedFile | undefined {
    return this.#tree.files.get(inode);
  }

  placeOf(path: string): Place | undefined {
    const place = this.#resolve(path);
    return place && `${place.directory.inode}/${place.name}`;
  }

  listing(): Listing {
    const listing = new Map<Place, number>();
    const visit = ({ inode, entries }: SimulatedDirectory) => {
      for (const [name, node] of entries) {
        if (node.isDirectory) visit(node);
        else listing.set(`${inode}/${name}`, node.inode);
      }
    };
    visit(this.#tree.root);
    return listing;
  }

  changeDirectory(path: string): void {
    const node = this.#look(path);
    if (node?.isDirectory) this.#tree.workingDirectory = node;
  }

  // ---- other processes --------------------------------------------------------------------------------------------

  rename(from: string, to: string): void {
    const node = this.#look(from)!;
    this.#tree.edit([
      { ...this.#resolve(to)!, node },
      { ...this.#resolve(from)!, node: undefined },
    ]);
  }

  remove(path: string): void {
    this.#tree.edit([{ ...this.#resolve(path)!, node: undefined }]);
  }

  replace(path: string, bytes: Uint8Array): void {
    const file = this.#tree.makeFile();
    file.write(0, bytes);
    this.#tree.edit([{ ...this.#resolve(path)!, node: file }]);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  cut(kept: Kept): CutImage {
    const names = new Map<Place, number>();
    for (const [directory, entries] of this.#tree.image(this.#random, kept)) {
      for (const [name, node] of entries) {
        if (!node.isDirectory) names.set(`${directory.inode}/${name}`, node.inode);
      }
    }
    return { names, file: (inode) => this.fileOf(inode)?.image(this.#random, kept) };
  }

  countDescriptors(): number {
    return this.#descriptors.size;
  }
}
