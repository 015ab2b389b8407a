// The effects of each operation on files and names.

import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from "../../../src/engine/linux.ts";
import { AT_FDCWD, Errno, LOCK_EX, LOCK_NB, LOCK_UN } from "../../../src/engine/linux.ts";
import { O_CREAT, O_EXCL, O_TMPFILE } from "../../../src/engine/linux.ts";
import { RWF_DONTCACHE, RWF_DSYNC } from "../../../src/engine/linux.ts";
import type { Operation, OperationName } from "../../../src/engine/operation.ts";
import type { Random } from "../random.ts";
import type { Description, DescriptorTable } from "./descriptors.ts";
import type { DirectoryTree, SimulatedDirectory } from "./directory_tree.ts";
import type { Fate } from "./faults.ts";
import { type Feature, type FileSystemKind, writeStatfs, writeStatx } from "./file_systems.ts";
import type { Flight } from "./flight.ts";
import type { SimulatedFile } from "./simulated_file.ts";

const MOUNTS = "/proc/self/mountinfo";

/** What a call works on: the file or the directory of its descriptor, and a second descriptor. */
interface Context {
  readonly flight: Flight;
  /** The maximum number of bytes that are done. */
  readonly most: number;
  readonly description: Description;
  readonly file: SimulatedFile;
  readonly directory: SimulatedDirectory;
  readonly target: Description;
}

/** What each call does. Its result is 0 if it returns nothing. */
type Calls = {
  readonly [Op in OperationName]: (
    operation: Extract<Operation, { op: Op }>,
    context: Context,
  ) => number | void;
};

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
      file.forget(flight.syncPoint.changes, this.random, this.kind.answersEarly);
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
    const call = this.#calls[operation.op] as (operation: Operation, _: Context) => number | void;
    const result = call(operation, {
      flight,
      most,
      description: description!,
      file: description?.node as SimulatedFile,
      directory: description?.node as SimulatedDirectory,
      target: target!,
    });
    return result ?? 0;
  }

  readonly #calls: Calls = {
    open: ({ directory: fd, name, flags }, { directory }) => {
      const { tree, descriptors } = this;
      const link = /^\/proc\/self\/fd\/(\d+)$/.exec(name);
      const linked = link && descriptors.get(Number(link[1]))?.node;
      const special = this.#lacks("proc") ? undefined : linked ?? this.#texts.get(name);
      if (special) return descriptors.open(special, flags);
      if (link) return -Errno.ENOENT;
      if ((flags & O_TMPFILE) === O_TMPFILE) {
        if (!this.#lacks("unnamed files")) return descriptors.open(tree.makeFile(), flags);
        return -this.random.pick([Errno.EOPNOTSUPP, Errno.EISDIR]);
      }
      const from = fd === AT_FDCWD ? tree.workingDirectory : directory;
      const node = tree.lookUp(name, from);
      if (node && flags & O_CREAT && flags & O_EXCL) return -Errno.EEXIST;
      if (node) return descriptors.open(node, flags);
      const place = tree.resolve(name, from);
      if (!place || !(flags & O_CREAT)) return -Errno.ENOENT;
      const file = tree.makeFile();
      const opened = descriptors.open(file, flags);
      if (opened >= 0) tree.edit([{ ...place, node: file }]);
      return opened;
    },
    close() {},
    pause() {},
    reopen() {},
    read: ({ memory, offset, position }, { file, most }) => {
      const bytes = file.read(position, most);
      memory.bytes.set(bytes, offset);
      return bytes.length;
    },
    write: ({ flags, position }, { flight, description, file, most }) => {
      if (flags & RWF_DONTCACHE && this.#lacks("uncached writes")) return -Errno.EOPNOTSUPP;
      // With RWF_DSYNC only this write is durable.
      const through = (flags & RWF_DSYNC) !== 0;
      const at = description.appends ? file.size : position;
      file.write(at, flight.bytes!.subarray(0, most), through);
      return most;
    },
    sync: (_, { flight: { syncPoint }, description, description: { node } }) => {
      if (node.isDirectory) this.tree.makeDurable(node, syncPoint.journaled);
      else node.makeDurable(syncPoint.changes);
      return -description.takeFailure();
    },
    allocate: ({ mode, position, length }, { file, most }) => {
      const punches = (mode & FALLOC_FL_PUNCH_HOLE) !== 0;
      if (this.#lacks(punches ? "punch" : "allocate")) return -Errno.EOPNOTSUPP;
      if (punches) file.punch(position, position + length);
      else if (!(mode & FALLOC_FL_KEEP_SIZE)) file.extend(position + most);
      return 0;
    },
    truncate: ({ length }, { file }) => file.truncate(length),
    stat: ({ name, memory }, { description, directory }) => {
      const node = name === "" ? description.node : this.tree.lookUp(name, directory);
      return node ? writeStatx(memory.bytes, node, this.kind) : -Errno.ENOENT;
    },
    statfs: ({ memory }) => writeStatfs(memory.bytes, this.kind),
    link: ({ byProc, name }, { file, target }) => {
      const directory = target.node as SimulatedDirectory;
      if (this.#lacks(byProc ? "proc" : "link by descriptor")) return -Errno.ENOENT;
      if (name === "." || directory.entries.has(name)) return -Errno.EEXIST;
      if (!file.linkable) return -Errno.ENOENT;
      this.tree.edit([{ directory, name, node: file }]);
      return 0;
    },
    rename: ({ name, targetName }, { directory, target }) => {
      const to = { directory: target.node as SimulatedDirectory, name: targetName };
      const node = directory.entries.get(name);
      if (!node) return -Errno.ENOENT;
      if (to.directory.entries.get(targetName) === node) return 0;
      this.tree.edit([{ ...to, node }, { directory, name, node: undefined }]);
      return 0;
    },
    unlink: ({ name }, { directory }) => {
      if (!directory.entries.has(name)) return -Errno.ENOENT;
      this.tree.edit([{ directory, name, node: undefined }]);
      return 0;
    },
    copyRange: ({ position, targetPosition }, { file, target, most }) => {
      if (target.appends) return -Errno.EBADF;
      if (this.#lacks("copy")) return -this.random.pick([Errno.EXDEV, Errno.EOPNOTSUPP]);
      const bytes = file.read(position, most);
      const overlaps = Math.abs(position - targetPosition) < bytes.length;
      if (file === target.node && overlaps) return -Errno.EINVAL;
      target.file!.write(targetPosition, bytes);
      return bytes.length;
    },
    /** flock(2) with LOCK_NB. */
    lock: ({ operation }, { description, file: { locks } }) => {
      // Linux releases the old lock before it requests the new one.
      locks.delete(description);
      if (operation & LOCK_UN) return 0;
      const kind = (operation & ~LOCK_NB) === LOCK_EX ? "exclusive" : "shared";
      const isExclusive = [kind, ...locks.values()].includes("exclusive");
      if (isExclusive && locks.size > 0) return -Errno.EAGAIN;
      locks.set(description, kind);
      return 0;
    },
  };
}
