// An engine that holds every operation until the test ends it, for tests of the operations and their order. The kernel of
// tests/simulator finds operations that must not be submitted.

import { AssertionError } from "@std/assert";
import { setImmediate } from "node:timers";
import { BufferBudget } from "../../src/engine/buffer_budget.ts";
import { Counters } from "../../src/engine/counters.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { Errno, O_DIRECT, O_RDWR } from "../../src/engine/linux.ts";
import type { Block, Completion, Operation, OperationName } from "../../src/engine/operation.ts";
import { DISK, type FileSystem } from "../../src/file/file_system.ts";
import { OpenFile } from "../../src/file/open_file.ts";
import { statNow } from "../../src/file/stat.ts";
import { DescriptorTable } from "../simulator/kernel/descriptors.ts";
import { DirectoryTree } from "../simulator/kernel/directory_tree.ts";
import { descriptorsOf } from "../simulator/kernel/flight.ts";
import { SimulatedMemory } from "../simulator/kernel/memory.ts";
import type { SimulatedFile } from "../simulator/kernel/simulated_file.ts";
import { SystemCalls } from "../simulator/kernel/system_calls.ts";
import { Random } from "../simulator/random.ts";

const DISK_KIND = {
  name: "disk",
  deviceMajor: 254,
  type: 0,
  hasDirectIo: true,
  memoryAlignment: 512,
  alignment: 512,
  saysAlignment: true,
  uniqueMountId: false,
  lacks: new Set<never>(),
};

export interface Held {
  readonly kind: OperationName;
  readonly position: number;
  /** The length in bytes; for a truncate, the new length of the file. */
  readonly length: number;
  readonly operation: Operation;
  readonly completion: Completion;
}

/** An operation in a few words, for example "write 4096+512". */
function describe({ kind, position, length }: Held): string {
  if (kind === "truncate") return `truncate ${length}`;
  return length > 0 ? `${kind} ${position}+${length}` : kind;
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Implements {@linkcode Engine} by the simulator's system calls. No completion is ever delivered while the call that submitted
 * it is running.
 */
export class ScriptedEngine implements Engine {
  readonly name = "scripted";
  readonly endsWithProcess = true;
  readonly counters: Counters = new Counters();
  readonly budget: BufferBudget = new BufferBudget();
  /** Every operation that was submitted, for example "write 0+512". */
  readonly log: string[] = [];
  readonly #held: Held[] = [];
  readonly #memory = new SimulatedMemory();
  readonly #tree = new DirectoryTree();
  readonly #descriptors = new DescriptorTable(false, Infinity);
  readonly #calls: SystemCalls;

  constructor() {
    const machine = { kind: DISK_KIND, tree: this.#tree, mountId: 1n };
    this.#calls = new SystemCalls(machine, this.#descriptors, new Random(1));
  }

  // ---- for tests --------------------------------------------------------------------------------------------------

  /** Opens a new file without a name. */
  create(content?: Uint8Array): number {
    const file = this.#tree.makeFile();
    if (content) file.write(0, content);
    return this.#descriptors.open(file, O_RDWR | O_DIRECT);
  }

  /** The file behind a descriptor that is open. */
  file(fd: number): SimulatedFile {
    const description = this.#descriptors.get(fd);
    if (!description) throw new AssertionError(`Descriptor ${fd} is closed`);
    return description.node as SimulatedFile;
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
    const reached = this.#perform(operation.operation, result);
    this.counters.inFlight--;
    this.counters.count(operation.operation, reached);
    operation.completion.complete(reached);
  }

  /** Awaits a promise, and ends operations in their order until it settles. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const settled = () => void (over = true);
    promise.then(settled, settled);
    for (;;) {
      await turn();
      if (over) return await promise;
      if (this.#held.length === 0) {
        throw new AssertionError("A promise hangs; nothing is in flight");
      }
      this.complete(this.#held[0]!);
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
    if (this.#memory.blocks > 0) throw new AssertionError(`${this.#memory.blocks} blocks are held`);
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

  /** Performs an operation, with at most `result` bytes or with the error that it is, and returns the result. */
  #perform(operation: Operation, result: number): number {
    const descriptions = descriptorsOf(operation).map((fd) => this.#descriptors.get(fd));
    const node = descriptions[0]?.node;
    const most = Math.max(0, result);
    const flight = {
      number: 0,
      operation,
      completion: { complete() {} },
      descriptions,
      file: undefined,
      target: undefined,
      // Read now, so that memory that was released too early is noticed.
      bytes: operation.op === "write"
        ? operation.memory.bytes.slice(operation.offset, operation.offset + most)
        : undefined,
      syncPoint: { changes: node?.isDirectory === false ? node.changes : 0, journaled: 0 },
      result: undefined,
    };
    return this.#calls.perform(flight, { errno: Math.max(0, -result), most });
  }

  // ---- the rest of an engine --------------------------------------------------------------------------------------

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
    return this.#memory.acquire(size);
  }

  release(block: Block): void {
    this.#memory.release(block);
  }
}

/** How a file of {@linkcode openScripted} is opened. */
export interface ScriptedOptions {
  readonly content?: Uint8Array;
  /** False goes through the page cache, at the exact length. */
  readonly direct?: boolean;
  readonly requiresDirect?: boolean;
  readonly fileSystem?: Partial<FileSystem>;
}

export function openScripted(options: ScriptedOptions): { engine: ScriptedEngine; file: OpenFile } {
  const { content = new Uint8Array(0) } = options;
  const engine = new ScriptedEngine();
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
    ownsSize: content.length === 0,
  });
  return { engine, file };
}
