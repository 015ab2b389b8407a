// Directories and names, and which of them are durable.

import type { Random } from "../random.ts";
import { type Kept, SimulatedFile } from "./simulated_file.ts";

/** The key of a name: the directory's inode and the component. A rename of the directory does not change it. */
export type Place = string;

/** The existing names of files, and their inodes. */
export type Listing = ReadonlyMap<Place, number>;

export type Node = SimulatedFile | SimulatedDirectory;

export class SimulatedDirectory {
  readonly isDirectory = true;
  readonly size = 4096;
  readonly links = 2;
  readonly entries: Map<string, Node> = new Map();
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
  readonly root: SimulatedDirectory = new SimulatedDirectory(2, undefined);
  workingDirectory: SimulatedDirectory = this.root;
  /** All files so far, by inode. */
  readonly files: Map<number, SimulatedFile> = new Map();
  readonly #directories = [this.root];
  #journal: JournalEntry[] = [];
  /** The extent of the journal that a sync of a directory covers if it starts now. */
  journaled = 0;
  #lastInode = 2;

  /** A file without a name, with durable bytes. */
  makeFile(bytes: Uint8Array = new Uint8Array(0)): SimulatedFile {
    const file = new SimulatedFile(++this.#lastInode);
    file.write(0, bytes);
    file.makeDurable(file.changes);
    this.files.set(file.inode, file);
    return file;
  }

  /** Creates a durable directory. */
  makeDirectory(parent: SimulatedDirectory, name: string): SimulatedDirectory {
    const directory = new SimulatedDirectory(++this.#lastInode, parent);
    this.#directories.push(directory);
    this.place(parent, name, directory);
    return directory;
  }

  /** Creates a durable entry. */
  place({ entries, durable }: SimulatedDirectory, name: string, node: Node): void {
    for (const names of [entries, durable]) names.set(name, node);
    if (!node.isDirectory) node.links++;
  }

  /** The directory of the last component of a path, and that component; undefined if there is no such directory. */
  resolve(path: string, from = this.workingDirectory): Omit<Edit, "node"> | undefined {
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

  lookUp(path: string, from = this.workingDirectory): Node | undefined {
    const place = this.resolve(path, from);
    return place && this.#child(place.directory, place.name);
  }

  fileAt(path: string): SimulatedFile | undefined {
    const node = this.lookUp(path);
    return node?.isDirectory ? undefined : node;
  }

  placeOf(path: string): Place {
    const { directory, name } = this.resolve(path)!;
    return `${directory.inode}/${name}`;
  }

  listing(): Listing {
    return listingOf(this.#directories.map((each) => [each, each.entries]));
  }

  /** The path of a node, in the form of /proc/self/fd. */
  pathOf(node: Node): string {
    if (node === this.root) return "/";
    for (const directory of this.#directories) {
      for (const [name, child] of directory.entries) {
        if (child !== node) continue;
        return directory === this.root ? `/${name}` : `${this.pathOf(directory)}/${name}`;
      }
    }
    return `/gone/${node.inode} (deleted)`;
  }

  /** Sets or changes the name of a file: the edits of one system call. */
  edit(edits: readonly Edit[]): void {
    for (const { directory, name, node } of edits) {
      const before = directory.entries.get(name);
      if (before instanceof SimulatedFile && --before.links === 0) before.linkable = false;
      if (node instanceof SimulatedFile) node.links++;
    }
    const entry = { number: ++this.journaled, edits };
    commit(entry, ({ entries }) => entries);
    this.#journal.push(entry);
  }

  /** Records a successful sync of a directory, which covers the journal up to there. */
  makeDurable(directory: SimulatedDirectory, upTo: number): void {
    const covered = this.#journal.filter(({ number }) => number <= upTo);
    const kept = inOrder(covered, new Set([directory]), () => false);
    for (const entry of kept) commit(entry, ({ durable }) => durable);
    this.#journal = this.#journal.filter((entry) => !kept.includes(entry));
  }

  /** The names of all files after a power cut. */
  image(random: Random, kept: Kept): Listing {
    const image = new Map(this.#directories.map((each) => [each, new Map(each.durable)]));
    const keeps = () => kept === "everything" || (kept === "some" && random.chance(0.5));
    for (const entry of inOrder(this.#journal, new Set(), keeps)) {
      commit(entry, (directory) => image.get(directory)!);
    }
    return listingOf(image);
  }
}

function listingOf(entries: Iterable<readonly [SimulatedDirectory, Map<string, Node>]>): Listing {
  const listing = new Map<Place, number>();
  for (const [{ inode }, names] of entries) {
    for (const [name, node] of names) {
      if (!node.isDirectory) listing.set(`${inode}/${name}`, node.inode);
    }
  }
  return listing;
}

function commit(
  { edits }: JournalEntry,
  entriesOf: (directory: SimulatedDirectory) => Map<string, Node>,
): void {
  for (const { directory, name, node } of edits) {
    if (node) entriesOf(directory).set(name, node);
    else entriesOf(directory).delete(name);
  }
}

/** The kept entries, with all earlier entries of the same directories. */
function inOrder(
  journal: readonly JournalEntry[],
  directories: Set<SimulatedDirectory>,
  keeps: () => boolean,
): JournalEntry[] {
  const kept = journal.toReversed().filter(({ edits }) => {
    if (!edits.some(({ directory }) => directories.has(directory)) && !keeps()) return false;
    for (const { directory } of edits) directories.add(directory);
    return true;
  });
  return kept.reverse();
}
