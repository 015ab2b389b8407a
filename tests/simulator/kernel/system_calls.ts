// The effects of each operation on files and names.

import {
  AT_FDCWD,
  Errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  LOCK_EX,
  LOCK_NB,
  LOCK_UN,
  O_CREAT,
  O_EXCL,
  O_TMPFILE,
  RWF_DONTCACHE,
  RWF_DSYNC,
} from "../../../src/engine/linux.ts";
import type { Operation } from "../../../src/engine/operation.ts";
import type { Random } from "../random.ts";
import type { Description, DescriptorTable } from "./descriptors.ts";
import type { DirectoryTree, Node, SimulatedDirectory } from "./directory_tree.ts";
import type { Fate } from "./faults.ts";
import type { Feature, Mount } from "./file_systems.ts";
import type { Flight } from "./flight.ts";
import type { SimulatedFile } from "./simulated_file.ts";
import { writeStatfs, writeStatx } from "./statx.ts";

const MOUNTS = "/proc/self/mountinfo";

type Named<Op extends Operation["op"]> = Extract<Operation, { op: Op }>;

export class SystemCalls {
  readonly #mount: Mount;
  readonly #descriptors: DescriptorTable;
  readonly #random: Random;
  /** The texts of /proc. */
  readonly #texts: ReadonlyMap<string, SimulatedFile>;

  constructor(mount: Mount, descriptors: DescriptorTable, random: Random) {
    this.#mount = mount;
    this.#descriptors = descriptors;
    this.#random = random;
    const { kind, tree } = mount;
    this.#texts = new Map(
      Object.entries({
        "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
        [MOUNTS]: `30 1 0:1 / /disk rw - fuse.${kind.server} server:/ rw\n`,
      }).map(([name, text]) => [name, textFile(tree, text)]),
    );
  }

  #lacks(feature: Feature): boolean {
    return this.#mount.kind.lacks.has(feature);
  }

  /** Whether an operation reads the list of mounts. It never fails, because the behaviour of a server depends on it. */
  readsMounts({ operation, descriptions: [description] }: Flight): boolean {
    return (operation.op === "open" && operation.name === MOUNTS) ||
      (description !== undefined && description.node === this.#texts.get(MOUNTS));
  }

  /** Performs an operation, as its fate allows. Returns its result. */
  perform(flight: Flight, { errno, most }: Fate): number {
    const { operation } = flight;
    // Linux frees a descriptor even if close(2) fails.
    if (operation.op === "close") this.#descriptors.close(operation.fd);
    const { descriptions: [description] } = flight;
    const transfers = operation.op === "read" || operation.op === "write";
    if (transfers && description!.isDirect && this.#lacks("direct transfers")) return -Errno.EINVAL;
    if (errno === 0) return this.#call(flight, most);
    const file = description?.file;
    if (operation.op === "sync" && file) {
      const early = this.#mount.kind.answersEarly === true;
      file.forget(flight.syncPoint.changes, this.#random, early);
      file.failedSyncs++;
      file.syncErrno = errno;
      description.takeFailure();
    }
    // The result counts the appended bytes. Linux reports no error then.
    const partial = operation.op === "allocate" ||
      (operation.op === "write" && !description!.appends);
    if (partial && most > 0) this.#call(flight, most);
    return -errno;
  }

  #call(flight: Flight, most: number): number {
    const { operation, descriptions: [description, target] } = flight;
    switch (operation.op) {
      case "open":
        return this.#open(operation, description);
      case "close":
      case "pause":
        return 0;
      case "read": {
        const { memory, offset, position } = operation;
        const bytes = fileOf(description).read(position, most);
        memory.bytes.set(bytes, offset);
        return bytes.length;
      }
      case "write": {
        if (operation.flags & RWF_DONTCACHE && this.#lacks("uncached writes")) {
          return -Errno.EOPNOTSUPP;
        }
        const file = fileOf(description);
        const position = description!.appends ? file.size : operation.position;
        // With RWF_DSYNC only this write is durable.
        const through = (operation.flags & RWF_DSYNC) !== 0;
        file.write(position, flight.bytes!.subarray(0, most), through);
        return most;
      }
      case "sync":
        return this.#sync(description!.node, flight.syncPoint) - description!.takeFailure();
      case "allocate":
        return this.#allocate(operation, fileOf(description), most);
      case "truncate":
        fileOf(description).truncate(operation.length);
        return 0;
      case "stat":
        writeStatx(operation.memory.bytes, description!.node, this.#mount);
        return 0;
      case "statfs":
        writeStatfs(operation.memory.bytes, this.#mount.kind);
        return 0;
      case "link":
        return this.#link(operation, fileOf(description), target!);
      case "rename":
        return this.#rename(operation, description!, target!);
      case "unlink":
        return this.#unlink(operation, description!);
      case "copyRange":
        if (target!.appends) return -Errno.EBADF;
        return this.#copyRange(operation, fileOf(description), fileOf(target), most);
      case "lock":
        return lock(operation.operation, description!);
    }
  }

  // ---- names ------------------------------------------------------------------------------------------------------

  #open({ directory, name, flags }: Named<"open">, description: Description | undefined): number {
    const link = /^\/proc\/self\/fd\/(\d+)$/.exec(name);
    if (link) {
      const linked = this.#lacks("proc") ? undefined : this.#descriptors.get(Number(link[1]));
      return linked ? this.#descriptors.open(linked.node, flags) : -Errno.ENOENT;
    }
    const text = this.#lacks("proc") ? undefined : this.#texts.get(name);
    if (text) return this.#descriptors.open(text, flags);
    const from = directory === AT_FDCWD
      ? this.#mount.tree.workingDirectory
      : description!.node as SimulatedDirectory;
    if ((flags & O_TMPFILE) === O_TMPFILE) return this.#openUnnamed(flags);
    const node = this.#mount.tree.lookUp(name, from);
    if (node && flags & O_CREAT && flags & O_EXCL) return -Errno.EEXIST;
    if (node) return this.#descriptors.open(node, flags);
    const place = this.#mount.tree.resolve(name, from);
    if (!place || !(flags & O_CREAT)) return -Errno.ENOENT;
    const file = this.#mount.tree.makeFile();
    const fd = this.#descriptors.open(file, flags);
    if (fd >= 0) this.#mount.tree.edit([{ ...place, node: file }]);
    return fd;
  }

  #openUnnamed(flags: number): number {
    if (this.#lacks("unnamed files")) return -this.#random.pick([Errno.EOPNOTSUPP, Errno.EISDIR]);
    return this.#descriptors.open(this.#mount.tree.makeFile(), flags);
  }

  #link({ byProc, name }: Named<"link">, file: SimulatedFile, { node }: Description): number {
    const missing: Feature = byProc ? "proc" : "link by descriptor";
    if (this.#lacks(missing)) return -Errno.ENOENT;
    const directory = node as SimulatedDirectory;
    if (name === "." || directory.entries.has(name)) return -Errno.EEXIST;
    if (!file.linkable) return -Errno.ENOENT;
    this.#mount.tree.edit([{ directory, name, node: file }]);
    return 0;
  }

  #rename(operation: Named<"rename">, from: Description, to: Description): number {
    const { name, targetName } = operation;
    const directory = from.node as SimulatedDirectory;
    const target = to.node as SimulatedDirectory;
    const node = directory.entries.get(name);
    if (!node) return -Errno.ENOENT;
    if (target.entries.get(targetName) === node) return 0;
    this.#mount.tree.edit([
      { directory: target, name: targetName, node },
      { directory, name, node: undefined },
    ]);
    return 0;
  }

  #unlink({ name }: Named<"unlink">, { node }: Description): number {
    const directory = node as SimulatedDirectory;
    if (!directory.entries.has(name)) return -Errno.ENOENT;
    this.#mount.tree.edit([{ directory, name, node: undefined }]);
    return 0;
  }

  // ---- files ------------------------------------------------------------------------------------------------------

  #sync(node: Node, { changes, journaled }: Flight["syncPoint"]): number {
    if (node.isDirectory) this.#mount.tree.makeDurable(node, journaled);
    else node.makeDurable(changes);
    return 0;
  }

  #allocate(operation: Named<"allocate">, file: SimulatedFile, most: number): number {
    const { mode, position, length } = operation;
    const punches = (mode & FALLOC_FL_PUNCH_HOLE) !== 0;
    if (this.#lacks(punches ? "punch" : "allocate")) return -Errno.EOPNOTSUPP;
    if (punches) file.punch(position, position + length);
    else if (!(mode & FALLOC_FL_KEEP_SIZE)) file.extend(position + most);
    return 0;
  }

  #copyRange(
    { position, targetPosition }: Named<"copyRange">,
    from: SimulatedFile,
    to: SimulatedFile,
    most: number,
  ): number {
    if (this.#lacks("copy")) return -this.#random.pick([Errno.EXDEV, Errno.EOPNOTSUPP]);
    const bytes = from.read(position, most);
    const overlaps = Math.abs(position - targetPosition) < bytes.length;
    if (from === to && overlaps) return -Errno.EINVAL;
    to.write(targetPosition, bytes);
    return bytes.length;
  }
}

function textFile(tree: DirectoryTree, text: string): SimulatedFile {
  const file = tree.makeFile();
  file.write(0, new TextEncoder().encode(text));
  file.makeDurable(file.changes);
  return file;
}

function fileOf(description: Description | undefined): SimulatedFile {
  return description!.node as SimulatedFile;
}

/** flock(2) with LOCK_NB. */
function lock(operation: number, description: Description): number {
  const { locks } = fileOf(description);
  if (operation & LOCK_UN) {
    locks.delete(description);
    return 0;
  }
  const kind = (operation & ~LOCK_NB) === LOCK_EX ? "exclusive" : "shared";
  // Linux releases the old lock before it requests the new one.
  locks.delete(description);
  for (const held of locks.values()) {
    if (kind === "exclusive" || held === "exclusive") return -Errno.EAGAIN;
  }
  locks.set(description, kind);
  return 0;
}
