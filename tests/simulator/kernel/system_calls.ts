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
import type { DirectoryTree, SimulatedDirectory } from "./directory_tree.ts";
import type { Fate } from "./faults.ts";
import type { Feature, FileSystemKind } from "./file_systems.ts";
import type { Flight } from "./flight.ts";
import type { SimulatedFile } from "./simulated_file.ts";
import { writeStatfs, writeStatx } from "./statx.ts";

const MOUNTS = "/proc/self/mountinfo";

type Named<Op extends Operation["op"]> = Extract<Operation, { op: Op }>;

export class SystemCalls {
  /** The texts of /proc. */
  readonly #texts: ReadonlyMap<string, SimulatedFile>;

  constructor(
    readonly kind: FileSystemKind,
    readonly tree: DirectoryTree,
    readonly descriptors: DescriptorTable,
    readonly random: Random,
  ) {
    const texts = {
      "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
      [MOUNTS]: `30 1 0:1 / /disk rw - fuse.${kind.server} server:/ rw\n`,
    };
    const encoder = new TextEncoder();
    this.#texts = new Map(
      Object.entries(texts).map(([name, text]) => [name, tree.makeFile(encoder.encode(text))]),
    );
  }

  #lacks(feature: Feature): boolean {
    return this.kind.lacks.has(feature);
  }

  /** Whether an operation reads the list of mounts. It never fails, because the behaviour of a server depends on it. */
  readsMounts({ operation, file }: Flight): boolean {
    return (operation.op === "open" && operation.name === MOUNTS) ||
      (file !== undefined && file === this.#texts.get(MOUNTS));
  }

  /** Performs an operation, as its fate allows. Returns its result. */
  perform(flight: Flight, { errno, most }: Fate): number {
    const { operation, descriptions: [description] } = flight;
    const { op } = operation;
    // Linux frees a descriptor even if close(2) fails.
    if (op === "close") this.descriptors.close(operation.fd);
    const isDirect = (op === "read" || op === "write") && description!.isDirect;
    if (isDirect && this.#lacks("direct transfers")) return -Errno.EINVAL;
    if (errno === 0) return this.#call(flight, most);
    const file = description?.file;
    if (op === "sync" && file) {
      file.forget(flight.syncPoint.changes, this.random, this.kind.answersEarly === true);
      file.failedSyncs++;
      file.syncErrno = errno;
      description.takeFailure();
    }
    // The result counts the appended bytes. Linux reports no error then.
    const partial = op === "allocate" || (op === "write" && !description!.appends);
    if (partial && most > 0) this.#call(flight, most);
    return -errno;
  }

  #call(flight: Flight, most: number): number {
    const { operation, descriptions: [description, target] } = flight;
    const { kind } = this;
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
        const { flags } = operation;
        if (flags & RWF_DONTCACHE && this.#lacks("uncached writes")) return -Errno.EOPNOTSUPP;
        const file = fileOf(description);
        const position = description!.appends ? file.size : operation.position;
        // With RWF_DSYNC only this write is durable.
        file.write(position, flight.bytes!.subarray(0, most), (flags & RWF_DSYNC) !== 0);
        return most;
      }
      case "sync": {
        const { node } = description!;
        const { changes, journaled } = flight.syncPoint;
        if (node.isDirectory) this.tree.makeDurable(node, journaled);
        else node.makeDurable(changes);
        return -description!.takeFailure();
      }
      case "allocate":
        return this.#allocate(operation, fileOf(description), most);
      case "truncate":
        fileOf(description).truncate(operation.length);
        return 0;
      case "stat":
        writeStatx(operation.memory.bytes, description!.node, kind);
        return 0;
      case "statfs":
        writeStatfs(operation.memory.bytes, kind);
        return 0;
      case "link":
        return this.#link(operation, fileOf(description), directoryOf(target));
      case "rename":
        return this.#rename(operation, directoryOf(description), directoryOf(target));
      case "unlink": {
        const { name } = operation;
        const directory = directoryOf(description);
        if (!directory.entries.has(name)) return -Errno.ENOENT;
        this.tree.edit([{ directory, name, node: undefined }]);
        return 0;
      }
      case "copyRange":
        if (target!.appends) return -Errno.EBADF;
        return this.#copyRange(operation, fileOf(description), fileOf(target), most);
      case "lock":
        return lock(operation.operation, description!);
    }
  }

  #open({ directory, name, flags }: Named<"open">, description: Description | undefined): number {
    const { tree, descriptors } = this;
    const link = /^\/proc\/self\/fd\/(\d+)$/.exec(name);
    if (link) {
      const linked = this.#lacks("proc") ? undefined : descriptors.get(Number(link[1]));
      return linked ? descriptors.open(linked.node, flags) : -Errno.ENOENT;
    }
    const text = this.#lacks("proc") ? undefined : this.#texts.get(name);
    if (text) return descriptors.open(text, flags);
    if ((flags & O_TMPFILE) === O_TMPFILE) {
      if (this.#lacks("unnamed files")) return -this.random.pick([Errno.EOPNOTSUPP, Errno.EISDIR]);
      return descriptors.open(tree.makeFile(), flags);
    }
    const from = directory === AT_FDCWD ? tree.workingDirectory : directoryOf(description);
    const node = tree.lookUp(name, from);
    if (node) {
      return flags & O_CREAT && flags & O_EXCL ? -Errno.EEXIST : descriptors.open(node, flags);
    }
    const place = tree.resolve(name, from);
    if (!place || !(flags & O_CREAT)) return -Errno.ENOENT;
    const file = tree.makeFile();
    const fd = descriptors.open(file, flags);
    if (fd >= 0) tree.edit([{ ...place, node: file }]);
    return fd;
  }

  #link(
    { byProc, name }: Named<"link">,
    node: SimulatedFile,
    directory: SimulatedDirectory,
  ): number {
    if (this.#lacks(byProc ? "proc" : "link by descriptor")) return -Errno.ENOENT;
    if (name === "." || directory.entries.has(name)) return -Errno.EEXIST;
    if (!node.linkable) return -Errno.ENOENT;
    this.tree.edit([{ directory, name, node }]);
    return 0;
  }

  #rename(
    { name, targetName }: Named<"rename">,
    directory: SimulatedDirectory,
    target: SimulatedDirectory,
  ): number {
    const node = directory.entries.get(name);
    if (!node) return -Errno.ENOENT;
    if (target.entries.get(targetName) === node) return 0;
    this.tree.edit([
      { directory: target, name: targetName, node },
      { directory, name, node: undefined },
    ]);
    return 0;
  }

  #allocate(
    { mode, position, length }: Named<"allocate">,
    file: SimulatedFile,
    most: number,
  ): number {
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
    if (this.#lacks("copy")) return -this.random.pick([Errno.EXDEV, Errno.EOPNOTSUPP]);
    const bytes = from.read(position, most);
    const overlaps = Math.abs(position - targetPosition) < bytes.length;
    if (from === to && overlaps) return -Errno.EINVAL;
    to.write(targetPosition, bytes);
    return bytes.length;
  }
}

function fileOf(description: Description | undefined): SimulatedFile {
  return description!.node as SimulatedFile;
}

function directoryOf(description: Description | undefined): SimulatedDirectory {
  return description!.node as SimulatedDirectory;
}

/** flock(2) with LOCK_NB. */
function lock(operation: number, description: Description): number {
  const { locks } = fileOf(description);
  // Linux releases the old lock before it requests the new one.
  locks.delete(description);
  if (operation & LOCK_UN) return 0;
  const kind = (operation & ~LOCK_NB) === LOCK_EX ? "exclusive" : "shared";
  for (const held of locks.values()) {
    if (kind === "exclusive" || held === "exclusive") return -Errno.EAGAIN;
  }
  locks.set(description, kind);
  return 0;
}
