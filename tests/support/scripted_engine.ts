// An engine that holds every operation until the test ends it, for tests of operations that no real file system can be
// made to show. An operation that ends is performed by the engine in use, on a real file.

import { AssertionError } from "@std/assert";
import { setImmediate } from "node:timers";
import { BufferBudget } from "../../src/engine/buffer_budget.ts";
import { Counters } from "../../src/engine/counters.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { AT_FDCWD, O_RDWR } from "../../src/engine/linux.ts";
import type { Block, Completion, Operation, OperationName } from "../../src/engine/operation.ts";
import { DISK, type FileSystem } from "../../src/file/file_system.ts";
import { OpenFile } from "../../src/file/open_file.ts";
import { statNow } from "../../src/file/stat.ts";
import { engine as real } from "./engine.ts";

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

export class ScriptedEngine implements Engine {
  readonly name = "scripted";
  readonly endsWithProcess = true;
  readonly counters: Counters = new Counters();
  readonly budget: BufferBudget = new BufferBudget();
  readonly #held: Held[] = [];
  #blocks = 0;

  // ---- for tests --------------------------------------------------------------------------------------------------

  /** Opens a new file without a name. */
  create(content: Uint8Array = new Uint8Array(0)): number {
    const path = Deno.makeTempFileSync();
    Deno.writeFileSync(path, content);
    const open = { op: "open", directory: AT_FDCWD, name: path, flags: O_RDWR, mode: 0 } as const;
    const fd = real.runNow(open);
    Deno.removeSync(path);
    return fd;
  }

  /** The file behind a descriptor, past the engine. */
  file(fd: number) {
    const path = `/proc/self/fd/${fd}`;
    const truncate = (length: number) => void real.runNow({ op: "truncate", fd, length });
    return {
      size: Deno.statSync(path).size,
      read: (from: number, to: number) => Deno.readFileSync(path).subarray(from, to),
      truncate,
      extend: truncate,
    };
  }

  /** The operations of that kind that are held, in the order in which they were submitted. */
  pendingOf(kind: OperationName): Held[] {
    return this.#held.filter((operation) => operation.kind === kind);
  }

  only(kind: OperationName): Held {
    const [operation, ...others] = this.pendingOf(kind);
    if (operation && others.length === 0) return operation;
    throw new AssertionError(`Expected one ${kind} in flight, got: ${this.describePending()}`);
  }

  /** Completes an operation with `result`: all bytes by default, fewer bytes, or `-errno`. */
  complete(held: Held, result: number = held.length): void {
    const index = this.#held.indexOf(held);
    if (index < 0) throw new AssertionError(`Not in flight: ${describe(held)}`);
    this.#held.splice(index, 1);
    const { operation, completion } = held;
    this.counters.inFlight--;
    completion.complete(result < 0 ? result : this.#perform(operation, result));
  }

  #perform(operation: Operation, bytes: number): number {
    const { op } = operation;
    if (op === "pause") return 0;
    if (op === "read" || op === "write") return this.runNow({ ...operation, length: bytes });
    const result = this.runNow(operation);
    // The file system is none that this module knows.
    if (op === "statfs") operation.memory.bytes.fill(0);
    return result;
  }

  /** Awaits a promise, and ends operations in their order until it settles. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const settled = () => void (over = true);
    promise.then(settled, settled);
    for (await turn(); !over; await turn()) {
      if (!this.waitNow()) throw new AssertionError("A promise hangs; nothing is in flight");
    }
    return await promise;
  }

  /** Ends operations until no more are submitted. */
  async drain(): Promise<void> {
    for (await turn(); this.waitNow();) await turn();
  }

  describePending(): string {
    return this.#held.map(describe).join(", ") || "nothing";
  }

  /** Throws if an operation is in flight, or memory was not released. */
  assertIdle(): void {
    if (this.#held.length > 0) throw new AssertionError(`In flight: ${this.describePending()}`);
    if (this.#blocks > 0) throw new AssertionError(`${this.#blocks} blocks are held`);
  }

  // ---- an engine --------------------------------------------------------------------------------------------------

  submit(operation: Operation, completion: Completion): void {
    const position = "position" in operation ? operation.position : 0;
    const length = "length" in operation ? operation.length : 0;
    const held: Held = { kind: operation.op, position, length, operation, completion };
    this.#held.push(held);
    this.counters.inFlight++;
  }

  flush(): void {}

  /** Ends the operation that was submitted first. */
  waitNow(): boolean {
    const [first] = this.#held;
    if (first) this.complete(first);
    return first !== undefined;
  }

  runNow(operation: Operation): number {
    return real.runNow(operation);
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
    this.#blocks++;
    return real.acquire(size);
  }

  release(block: Block): void {
    this.#blocks--;
    real.release(block);
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

/** Opens a new file in blocks of 512 bytes. */
export function openScripted(options: ScriptedOptions): { engine: ScriptedEngine; file: OpenFile } {
  const { content, direct = true, requiresDirect = false, fileSystem } = options;
  const engine = new ScriptedEngine();
  const handle = { engine, fd: engine.create(content), path: "scripted" };
  const file = new OpenFile({
    ...handle,
    name: undefined,
    request: {
      read: true,
      write: true,
      append: false,
      direct: requiresDirect ? "require" : "prefer",
    },
    facts: { ...statNow(handle), directMemory: 512, directOffset: 512, blockSize: 512 },
    fileSystem: { ...DISK, ...fileSystem },
    direct,
    ownsSize: !content,
  });
  return { engine, file };
}
