// Directories and names, and which of them are durable.

import type { Random } from "../random.ts";
import { type Kept, SimulatedFile } from "./simulated_file.ts";

/** A node of the tree: a file or a directory. */
export type Node = SimulatedFile | SimulatedDirectory;

export class SimulatedDirectory {
  readonly isDirectory = true;
  readonly size = 4096;
  readonly links = 2;
  readonly entries: Map<string, Node> = new Map();
  /** The durable entries. */
  readonly durable: Map<string, Node> = new Map();

  constructor(readonly inode: number, readonly parent: SimulatedDirectory | undefined) {}
}

/** One changed entry; undefined for a removed name. */
interface Edit {
  readonly directory: SimulatedDirectory;
  readonly name: string;
  readonly node: Node | undefined;
}

/** The changes of one system call to names, as in a file system's journal. */
interface JournalEntry {
  readonly number: number;
  readonly edits: readonly Edit[];
}

/** A tree of directories. A journal keeps the names of one directory in order, and both ends of a rename together. */
export class DirectoryTree {
  readonly root: SimulatedDirectory;
  workingDirectory: SimulatedDirectory;
  /** All nodes so far, by inode. */
  readonly files: Map<number, SimulatedFile> = new Map();
  #journal: JournalEntry[] = [];
  #lastEntry = 0;
  #lastInode = 1;

  constructor() {
    this.root = new SimulatedDirectory(this.newInode(), undefined);
    this.workingDirectory = this.root;
  }

  newInode(): number {
    return ++this.#lastInode;
  }

  /** A file without a name. */
  makeFile(): SimulatedFile {
    const file = new SimulatedFile(this.newInode());
    this.files.set(file.inode, file);
    return file;
  }

  /** The extent of the journal that a sync of a directory covers if it starts now. */
  get journaled(): number {
    return this.#lastEntry;
  }

  /** Creates a durable directory. */
  makeDirectory(parent: SimulatedDirectory, name: string): SimulatedDirectory {
    const directory = new SimulatedDirectory(this.newInode(), parent);
    parent.entries.set(name, directory);
    parent.durable.set(name, directory);
    return directory;
  }

  /** Creates a durable entry for a file. */
  place(directory: SimulatedDirectory, name: string, file: SimulatedFile): void {
    directory.entries.set(name, file);
    directory.durable.set(name, file);
    file.links++;
  }

  // ---- lookup -----------------------------------------------------------------------------------------------------

  /** The directory of the last component of a path, and that component; undefined if there is no such directory. */
  resolve(from: SimulatedDirectory, path: string): Omit<Edit, "node"> | undefined {
    let directory = path.startsWith("/") ? this.root : from;
    const components = path.split("/").filter((part) => part !== "");
    const name = components.pop() ?? ".";
    for (const component of components) {
      const next = this.#child(directory, component);
      if (!next?.isDirectory) return undefined;
      directory = next;
    }
    return { directory, name };
  }

  #child(directory: SimulatedDirectory, name: string): Node | undefined {
    if (name === ".") return directory;
    if (name === "..") return directory.parent ?? directory;
    return directory.entries.get(name);
  }

  /** The node at a path. */
  lookUp(from: SimulatedDirectory, path: string): Node | undefined {
    const place = this.resolve(from, path);
    return place && this.#child(place.directory, place.name);
  }

  /** The path of a node, in the form of /proc/self/fd. */
  pathOf(node: Node): string {
    if (node === this.root) return "/";
    const search = (directory: SimulatedDirectory, path: string): string | undefined => {
      for (const [name, child] of directory.entries) {
        if (child === node) return `${path}/${name}`;
        const found = child.isDirectory ? search(child, `${path}/${name}`) : undefined;
        if (found) return found;
      }
      return undefined;
    };
    return search(this.root, "") ?? `/gone/${node.inode} (deleted)`;
  }

  // ---- changes ----------------------------------------------------------------------------------------------------

  /** Sets or changes the name of a file: the edits of one system call. */
  edit(edits: readonly Edit[]): void {
    for (const { directory, name, node } of edits) {
      const before = directory.entries.get(name);
      if (before instanceof SimulatedFile) this.#unlinked(before);
      if (node) directory.entries.set(name, node);
      else directory.entries.delete(name);
      if (node instanceof SimulatedFile) node.links++;
    }
    this.#journal.push({ number: ++this.#lastEntry, edits });
  }

  #unlinked(file: SimulatedFile): void {
    file.links--;
    if (file.links === 0) file.linkable = false;
  }

  // ---- durability -------------------------------------------------------------------------------------------------

  /** Records a successful sync of a directory, which covers the journal up to there. */
  makeDurable(directory: SimulatedDirectory, upTo: number): void {
    const covered = this.#journal.filter(({ number }) => number <= upTo);
    const kept = inOrder(covered, new Set([directory]), () => false);
    for (const entry of kept) commit(entry);
    this.#journal = this.#journal.filter((entry) => !kept.includes(entry));
  }

  /** The entries of each directory after a power cut. */
  image(random: Random, kept: Kept): Map<SimulatedDirectory, Map<string, Node>> {
    const image = new Map<SimulatedDirectory, Map<string, Node>>();
    const visit = (directory: SimulatedDirectory) => {
      image.set(directory, new Map(directory.durable));
      for (const node of directory.durable.values()) if (node.isDirectory) visit(node);
    };
    visit(this.root);
    if (kept === "nothing") return image;
    const keeps = () => kept === "everything" || random.chance(0.5);
    for (const { edits } of inOrder(this.#journal, new Set(), keeps)) {
      for (const { directory, name, node } of edits) {
        if (node) image.get(directory)?.set(name, node);
        else image.get(directory)?.delete(name);
      }
    }
    return image;
  }
}

function commit({ edits }: JournalEntry): void {
  for (const { directory, name, node } of edits) {
    if (node) directory.durable.set(name, node);
    else directory.durable.delete(name);
  }
}

/** The kept entries, with all earlier entries of the same directories. */
function inOrder(
  journal: readonly JournalEntry[],
  directories: Set<SimulatedDirectory>,
  keeps: () => boolean,
): JournalEntry[] {
  const kept: JournalEntry[] = [];
  for (const entry of journal.toReversed()) {
    const touched = entry.edits.some(({ directory }) => directories.has(directory));
    if (!touched && !keeps()) continue;
    for (const { directory } of entry.edits) directories.add(directory);
    kept.unshift(entry);
  }
  return kept;
}
