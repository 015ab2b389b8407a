// An engine that holds every operation until the test ends it, for tests of the operations and their order. The kernel of
// tests/simulator finds operations that must not be submitted.

import { AssertionError } from "@std/assert";
import { setImmediate } from "node:timers";
import { BufferBudget } from "../../src/engine/buffer_budget.ts";
import { Counters } from "../../src/engine/counters.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { Errno, FALLOC_FL_KEEP_SIZE } from "../../src/engine/linux.ts";
import type {
  Block,
  Completion,
  Memory,
  Operation,
  OperationName,
} from "../../src/engine/operation.ts";
import { DISK, type FileSystem } from "../../src/file/file_system.ts";
import { OpenFile } from "../../src/file/open_file.ts";
import { statNow } from "../../src/file/stat.ts";
import { SimulatedFile } from "../simulator/kernel/simulated_file.ts";
import { writeStatx } from "../simulator/kernel/statx.ts";

const PAGE = 4096;
const DISK_KIND = {
  deviceMajor: 254,
  hasDirectIo: true,
  saysAlignment: true,
  uniqueMountId: false,
};

export interface Held {
  readonly kind: OperationName;
  readonly position: number;
  /** The length in bytes; for a truncate, the new length of the file. */
  readonly length: number;
  readonly operation: Operation;
  readonly completion: Completion;
}

/** Chooses the operation that ends next, and its result if it is not all bytes. At least one is held. */
export type Plan = (pending: readonly Held[]) => [Held, number?];

const inOrder: Plan = ([first]) => [first!];

/** An operation in a few words, for example "write 4096+512". */
function describe({ kind, position, length }: Held): string {
  if (kind === "truncate") return `truncate ${length}`;
  return length > 0 ? `${kind} ${position}+${length}` : kind;
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Implements {@linkcode Engine} over {@linkcode SimulatedFile}. No completion is ever delivered while the call that
 * submitted it is running.
 */
export class ScriptedEngine implements Engine {
  readonly name = "scripted";
  readonly endsWithProcess = true;
  readonly counters: Counters = new Counters();
  readonly budget: BufferBudget;
  /** Every operation that was submitted, for example "write 0+512". */
  readonly log: string[] = [];
  /** The peak of the bytes in acquired blocks. */
  mostBytes = 0;
  afterEach: (operation: Held) => void = () => {};
  readonly #alignment: number;
  readonly #files = new Map<number, SimulatedFile>();
  readonly #held: Held[] = [];
  readonly #blocks = new Set<Block>();
  #bytes = 0;
  #lastFd = 2;

  constructor(alignment = 512, budget: BufferBudget = new BufferBudget()) {
    this.#alignment = alignment;
    this.budget = budget;
  }

  // ---- for tests --------------------------------------------------------------------------------------------------

  /** Opens a new file without a name. */
  create(content?: Uint8Array): number {
    const fd = ++this.#lastFd;
    const file = new SimulatedFile(fd);
    if (content) file.write(0, content);
    this.#files.set(fd, file);
    return fd;
  }

  /** The file behind a descriptor that is open. */
  file(fd: number): SimulatedFile {
    const file = this.#files.get(fd);
    if (!file) throw new AssertionError(`Descriptor ${fd} is closed`);
    return file;
  }

  /** Operations that are held, in the order in which they were queued. */
  get pending(): readonly Held[] {
    return this.#held;
  }

  pendingOf(kind: OperationName): Held[] {
    return this.#held.filter((operation) => operation.kind === kind);
  }

  only(kind: OperationName): Held {
    const [operation, ...others] = this.pendingOf(kind);
    if (operation && others.length === 0) return operation;
    throw new AssertionError(`Expected one ${kind} in flight, got: ${this.describePending()}`);
  }

  /** Completes an operation with `result`: all bytes by default, fewer bytes, or `-errno`. */
  complete(operation: Held, result: number = operation.length): void {
    const index = this.#held.indexOf(operation);
    if (index < 0) throw new AssertionError(`Not in flight: ${describe(operation)}`);
    this.#held.splice(index, 1);
    const reached = result < 0 ? result : this.#perform(operation.operation, result);
    this.counters.inFlight--;
    this.counters.count(operation.operation, reached);
    operation.completion.complete(reached);
    this.afterEach(operation);
  }

  /** Completes what is held now, in its order. */
  completeAll(): void {
    for (const operation of [...this.#held]) this.complete(operation);
  }

  /** Awaits a promise, and ends operations as the plan chooses until it settles. */
  async drive<T>(promise: Promise<T>, plan: Plan = inOrder): Promise<T> {
    let over = false;
    const settled = () => void (over = true);
    promise.then(settled, settled);
    for (;;) {
      await turn();
      if (over) return await promise;
      if (this.#held.length === 0) {
        throw new AssertionError("A promise hangs; nothing is in flight");
      }
      this.complete(...plan(this.#held));
    }
  }

  /** Ends operations until no more are submitted. */
  async drain(): Promise<void> {
    for (await turn(); this.#held.length > 0; await turn()) this.complete(this.#held[0]!);
  }

  describePending(): string {
    return this.#held.map(describe).join(", ") || "nothing";
  }

  /** Throws if an operation is in flight, or memory was not released. */
  assertIdle(): void {
    if (this.#held.length > 0) throw new AssertionError(`In flight: ${this.describePending()}`);
    if (this.#blocks.size > 0) throw new AssertionError(`${this.#blocks.size} blocks are held`);
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  submit(operation: Operation, completion: Completion): void {
    const position = operation.op === "copyRange"
      ? operation.targetPosition
      : "position" in operation
      ? operation.position
      : 0;
    const length = "length" in operation ? operation.length : 0;
    const held: Held = { kind: operation.op, position, length, operation, completion };
    this.#held.push(held);
    this.log.push(describe(held));
    this.counters.inFlight++;
  }

  flush(): void {
    this.counters.submissions++;
  }

  /** Ends the operation that was submitted first. */
  waitNow(): boolean {
    const [first] = this.#held;
    if (first) this.complete(first);
    return first !== undefined;
  }

  runNow(operation: Operation): number {
    if (operation.op === "open") return this.#openNow(operation.cached);
    return this.#perform(operation, "length" in operation ? operation.length : 0);
  }

  /** Performs an operation, with at most `most` bytes, and returns the result. */
  #perform(operation: Operation, most: number): number {
    switch (operation.op) {
      case "close":
        return this.#files.delete(operation.fd) ? 0 : -Errno.EBADF;
      case "read": {
        const { fd, memory, offset, position } = operation;
        const bytes = this.file(fd).read(position, most);
        memory.bytes.set(bytes, offset);
        return bytes.length;
      }
      case "write": {
        const { fd, memory, offset, position } = operation;
        this.file(fd).write(position, memory.bytes.subarray(offset, offset + most));
        return most;
      }
      case "allocate": {
        const { fd, mode, position } = operation;
        if (!(mode & FALLOC_FL_KEEP_SIZE)) this.file(fd).extend(position + most);
        return 0;
      }
      case "truncate":
        this.file(operation.fd).truncate(operation.length);
        return 0;
      case "stat":
        return this.#stat(operation.fd, operation.memory);
      case "statfs":
        operation.memory.bytes.fill(0, 0, 120);
        return 0;
      case "copyRange": {
        const { fd, position, targetFd, targetPosition } = operation;
        const bytes = this.file(fd).read(position, most);
        this.file(targetFd).write(targetPosition, bytes);
        return bytes.length;
      }
      // No file here has a name.
      case "open":
      case "link":
      case "rename":
      case "unlink":
        return -Errno.EOPNOTSUPP;
      case "sync":
      case "lock":
      case "pause":
        return 0;
    }
  }

  // ---- the rest of an engine --------------------------------------------------------------------------------------

  #stat(fd: number, memory: Memory): number {
    const file = this.#files.get(fd);
    if (!file) return -Errno.EBADF;
    const stat = { isDirectory: false, inode: fd, size: file.size, links: 1, mountId: 1n };
    const alignment = this.#alignment;
    writeStatx(memory.bytes, stat, { ...DISK_KIND, memoryAlignment: alignment, alignment });
    return 0;
  }

  /** Opens the working directory. No path is cached: every directory is looked up by an operation, which can be held. */
  #openNow(cached = false): number {
    return cached ? -Errno.EAGAIN : this.create();
  }

  setThreaded(): void {}

  isLocal(): boolean {
    return true;
  }

  setFlags(): number {
    return 0;
  }

  realPath(): undefined {
    return undefined;
  }

  acquire(size: number): Block {
    const rounded = Math.max(1, Math.ceil(size / PAGE)) * PAGE;
    // Old content: a test must notice if it is written as padding.
    const bytes = new Uint8Array(rounded).fill(0xa5);
    const block: Block = { bytes, size: rounded, address: PAGE, registration: -1 };
    this.#blocks.add(block);
    this.#bytes += rounded;
    this.mostBytes = Math.max(this.mostBytes, this.#bytes);
    return block;
  }

  release(block: Block): void {
    this.#blocks.delete(block);
    this.#bytes -= block.size;
    block.bytes.fill(0xdd);
  }
}

/** How a file of {@linkcode openScripted} is opened. */
export interface ScriptedOptions {
  readonly content?: Uint8Array;
  readonly alignment?: number;
  readonly budget?: BufferBudget | undefined;
  /** False goes through the page cache, at the exact length. */
  readonly direct?: boolean;
  readonly requiresDirect?: boolean;
  readonly fileSystem?: Partial<FileSystem>;
}

export function openScripted(options: ScriptedOptions): { engine: ScriptedEngine; file: OpenFile } {
  const { content = new Uint8Array(0), alignment = 512, budget } = options;
  const engine = new ScriptedEngine(alignment, budget);
  const fd = engine.create(content);
  const handle = { engine, fd, path: "scripted" };
  const file = new OpenFile({
    ...handle,
    name: undefined,
    request: {
      read: true,
      write: true,
      append: false,
      direct: options.requiresDirect ? "require" : "prefer",
    },
    facts: statNow(handle),
    fileSystem: { ...DISK, ...options.fileSystem },
    direct: options.direct ?? true,
    created: false,
    ownsSize: content.length === 0,
  });
  return { engine, file };
}
