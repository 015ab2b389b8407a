// Performs the operations of a simulated kernel on the real one too, in a directory of a real file system, and compares
// results, lengths, bytes and names. So what the oracle says of the one holds for the other.

import { loadShim } from "../../../ffi/shim.ts";
import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { KernelEngine } from "../../../src/engine/kernel_engine.ts";
import { AT_FDCWD, Errno, O_DIRECT, RWF_DSYNC, STATX_BYTES } from "../../../src/engine/linux.ts";
import type { Memory, Operation } from "../../../src/engine/operation.ts";
import { parseStat } from "../../../src/file/stat.ts";
import { ROOT } from "../files.ts";
import type { DirectoryTree, Node } from "./directory_tree.ts";
import { DESCRIPTOR_FIELDS, type Flight } from "./flight.ts";
import { firstDifference } from "./sparse_bytes.ts";

/** What only the real file system can lack: the comparison of a program ends there. */
const LACKS: ReadonlySet<number> = new Set([Errno.ENOSPC, Errno.EDQUOT, Errno.EOPNOTSUPP]);

/** At the end no more bytes of a file are compared, because holes may be long. */
const MOST_COMPARED = 4 << 20;

/** The real kernel behind a simulated one, for one program at a time. */
export class Mirror {
  readonly #engine = new KernelEngine(loadShim(), new BufferBudget(), 1);
  readonly #directory: string;
  #tree: DirectoryTree | undefined;
  /** The root of the program's files here. */
  #root = "";
  /** The descriptors here of those in the simulated kernel. */
  readonly #open = new Map<number, number>();

  /** To be created before its isolate is made deterministic. */
  constructor(directory: string) {
    this.#directory = Deno.realPathSync(directory);
  }

  begin(tree: DirectoryTree): void {
    this.#tree = tree;
    this.#root = Deno.makeTempDirSync({ dir: this.#directory, prefix: "simulate-" });
    for (const [path, node] of nodesOf(tree, ROOT)) {
      const real = this.#pathOf(path);
      if (node.isDirectory) Deno.mkdirSync(real, { recursive: true });
      else Deno.writeFileSync(real, node.read(0, node.size));
    }
  }

  /** Ends the program. Returns the first difference between the files of both. */
  end(): string | undefined {
    const difference = this.#tree && this.#compareFiles(this.#tree);
    for (const fd of this.#open.values()) this.#engine.runNow({ op: "close", fd });
    this.#open.clear();
    Deno.removeSync(this.#root, { recursive: true });
    return difference;
  }

  #pathOf(path: string): string {
    return `${this.#root}${path.slice(ROOT.length)}`;
  }

  #compareFiles(tree: DirectoryTree): string | undefined {
    for (const [path, node] of nodesOf(tree, ROOT)) {
      const real = this.#pathOf(path);
      if (node.isDirectory) {
        const names = Array.from(Deno.readDirSync(real), ({ name }) => name).sort().join();
        const expected = [...node.entries.keys()].sort().join();
        if (names !== expected) return `${path} has ${names}, and not ${expected}`;
        continue;
      }
      using file = Deno.openSync(real);
      const { size } = file.statSync();
      if (size !== node.size) return `${path} has ${size} bytes, and not ${node.size}`;
      const bytes = new Uint8Array(Math.min(size, MOST_COMPARED));
      for (let at = 0; at < bytes.length;) at += file.readSync(bytes.subarray(at))!;
      const difference = firstDifference(bytes, node.read(0, bytes.length));
      if (difference >= 0) return `${path} differs at ${difference}`;
    }
    return undefined;
  }

  /** Performs an operation that the simulated kernel has performed. Returns the difference, if there is one. */
  perform({ operation, bytes, result }: Flight): string | undefined {
    const translated = this.#tree && this.#translate(operation);
    if (!translated) return undefined;
    // For the bytes of a transfer, or the result and the name of a stat.
    const block = this.#engine.acquire("offset" in operation ? operation.length : 2 * STATX_BYTES);
    try {
      if (bytes) block.bytes.set(bytes);
      const own = "memory" in translated ? { memory: block, offset: 0 } : {};
      const real = this.#engine.runNow({ ...translated, ...own });
      if (LACKS.has(-real)) {
        this.#tree = undefined;
        return undefined;
      }
      if (operation.op === "open" && real >= 0 && result! >= 0) {
        this.#open.set(result!, real);
      } else if (real !== result) return `the real kernel returns ${real}, and not ${result}`;
      return result! >= 0 ? compare(operation, block, result!) : undefined;
    } finally {
      this.#engine.release(block);
    }
  }

  /** The operation here; undefined if it uses a file that is not here. */
  #translate(operation: Operation): Operation | undefined {
    if (operation.op === "pause" || operation.op === "statfs") return undefined;
    const translated: Record<string, unknown> = { ...operation };
    for (const field of DESCRIPTOR_FIELDS) {
      const fd = translated[field];
      if (fd === undefined || fd === AT_FDCWD) continue;
      translated[field] = this.#open.get(fd as number);
      if (translated[field] === undefined) return undefined;
    }
    Object.assign(translated, { cached: false, resolve: 0 });
    if (operation.op === "close") this.#open.delete(operation.fd);
    if (operation.op === "write") translated.flags = operation.flags & RWF_DSYNC;
    if (operation.op === "open") {
      const name = this.#nameOf(operation.directory, operation.name);
      if (name === undefined) return undefined;
      Object.assign(translated, { name, flags: operation.flags & ~O_DIRECT });
    }
    return translated as unknown as Operation;
  }

  #nameOf(directory: number, name: string): string | undefined {
    const descriptor = /^\/proc\/self\/fd\/(\d+)$/.exec(name)?.[1];
    if (descriptor !== undefined) {
      const fd = this.#open.get(Number(descriptor));
      return fd === undefined ? undefined : `/proc/self/fd/${fd}`;
    }
    if (directory !== AT_FDCWD && !name.startsWith("/")) return name;
    const { workingDirectory } = this.#tree!;
    const path = name.startsWith("/") ? name : `${this.#tree!.pathOf(workingDirectory)}/${name}`;
    if (!`${path}/`.startsWith(`${ROOT}/`)) return undefined;
    return this.#pathOf(path);
  }
}

/** A directory of a tree with everything below it, by path. */
function* nodesOf(tree: DirectoryTree, path: string): Generator<[string, Node]> {
  const node = tree.lookUp(path)!;
  yield [path, node];
  if (!node.isDirectory) return;
  for (const name of node.entries.keys()) yield* nodesOf(tree, `${path}/${name}`);
}

/** Compares what a read or a stat has put into both memories. */
function compare(operation: Operation, { bytes }: Memory, result: number): string | undefined {
  if (operation.op === "read") {
    const { memory, offset, position } = operation;
    const model = memory.bytes.subarray(offset, offset + result);
    const at = firstDifference(bytes.subarray(0, result), model);
    return at < 0 ? undefined : `the real kernel has another byte at ${position + at}`;
  }
  if (operation.op !== "stat") return undefined;
  const [real, model] = [bytes, operation.memory.bytes].map((each) => parseStat(each, "file"));
  const facts = ({ kind, size, links }: NonNullable<typeof real>) =>
    kind === "file" ? `a file of ${size} bytes, ${links} links` : kind;
  return facts(real!) === facts(model!)
    ? undefined
    : `really ${facts(real!)}, and not ${facts(model!)}`;
}
