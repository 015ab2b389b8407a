// Holds operations until a test ends them, in any order and with any result, and counts the memory that they use.

import { AssertionError } from "@std/assert";
import { setImmediate } from "node:timers";
import { BufferBudget } from "../../src/engine/buffer_budget.ts";
import { countResult, type EngineCounters, newCounters } from "../../src/engine/counters.ts";
import type { Block, Completion, Operation, OperationName } from "../../src/engine/operation.ts";
import type { ScriptedFile } from "./scripted_disk.ts";
import {
  describe,
  factsOf,
  type Held,
  type HeldOperation,
  inOrder,
  type Outcome,
  type Plan,
} from "./scripted_operation.ts";

const PAGE = 4096;

/** Settings of a {@linkcode ScriptedEngine}. */
export interface ScriptedEngineOptions {
  /** The alignment of positions and lengths; default 512. */
  alignment?: number;
}

/** Resolves when every microtask has run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The part of a scripted engine that does not depend on the kind of operation. */
export abstract class HoldingEngine {
  readonly endsWithProcess = true;
  readonly counters: EngineCounters = newCounters();
  budget: BufferBudget = new BufferBudget();
  /** Every operation when it is queued ("+ write 0+512") and when it is done ("- write 0+512: 512"). */
  readonly log: string[] = [];
  /** The peak of the bytes in acquired blocks. */
  mostBytes = 0;
  /** Called after each completion. */
  afterEach: (operation: Held) => void = () => {};
  /** The alignment of positions and lengths. */
  protected readonly alignment: number;
  /** Files by descriptor. */
  protected readonly files: Map<number, ScriptedFile> = new Map();
  readonly #held: HeldOperation[] = [];
  readonly #blocks = new Set<Block>();
  /** The name of the plan, for messages. */
  #choices = "";
  #bytes = 0;
  #lastAddress = PAGE;

  constructor({ alignment = 512 }: ScriptedEngineOptions = {}) {
    this.alignment = alignment;
  }

  /** The file behind a descriptor that is open. */
  file(fd: number): ScriptedFile {
    const file = this.files.get(fd);
    if (!file) throw new AssertionError(`Descriptor ${fd} is closed`);
    return file;
  }

  /** Operations that are held, in the order in which they were queued. */
  get pending(): readonly Held[] {
    return this.#held;
  }

  /** The held operations of one kind. */
  pendingOf(kind: OperationName): Held[] {
    return this.#held.filter((operation) => operation.kind === kind);
  }

  /** The only held operation of that kind. */
  only(kind: OperationName): Held {
    const [operation, ...others] = this.pendingOf(kind);
    if (operation && others.length === 0) return operation;
    throw new AssertionError(`Expected one ${kind} in flight, got: ${this.describePending()}`);
  }

  /** Completes an operation with `result`: all bytes by default, fewer bytes, or `-errno`. */
  complete(operation: Held, result: number = operation.length): void {
    this.finish(operation, result < 0 ? { errno: -result } : { most: result });
  }

  /** Completes a read or a write after `bytes` bytes. */
  shorten(operation: Held, bytes: number): void {
    this.finish(operation, { most: bytes });
  }

  /** Fails an operation. Its first `reached` bytes are transferred nevertheless. */
  fail(operation: Held, errno: number, reached = 0): void {
    this.finish(operation, { errno, reached });
  }

  /** Completes what is held now, in the order of these indices; default: as queued. */
  completeAll(order?: readonly number[]): void {
    const held = [...this.#held];
    for (const index of order ?? held.keys()) this.complete(held[index]!);
  }

  /** Ends an operation with an outcome. */
  finish(operation: Held, outcome: Outcome): void {
    const index = this.#held.findIndex((held) => held === operation);
    if (index < 0) throw new AssertionError(`Not in flight: ${describe(operation)}`);
    const held = this.#held.splice(index, 1)[0]!;
    const failed = "errno" in outcome;
    const most = failed ? outcome.reached ?? 0 : outcome.most ?? held.length;
    const reached = failed && most === 0 ? 0 : held.effect(most);
    const result = failed ? -outcome.errno : reached;
    this.counters.inFlight--;
    countResult(this.counters, held.operation, result);
    this.log.push(`- ${describe(held)}: ${result}`);
    held.completion.complete(result);
    this.afterEach(held);
  }

  /** Ends one operation as the plan chooses. Returns false if none is held. */
  step(plan: Plan = inOrder): boolean {
    if (this.#held.length === 0) return false;
    this.#choices = ` (${plan.name})`;
    this.finish(...plan.choose(this.#held));
    return true;
  }

  /** Awaits a promise that must settle without any further operation. */
  async settled<T>(promise: Promise<T>): Promise<T> {
    const watch = watched(promise);
    await turn();
    if (!watch.over) this.#hang();
    return await promise;
  }

  /** Awaits a promise, and ends operations as the plan chooses until it settles. */
  async drive<T>(promise: Promise<T>, plan: Plan = inOrder): Promise<T> {
    const watch = watched(promise);
    for (;;) {
      await turn();
      if (watch.over) return await promise;
      if (!this.step(plan)) this.#hang();
    }
  }

  /** Ends operations as the plan chooses until no more are submitted. */
  async drain(plan: Plan = inOrder): Promise<void> {
    do await turn(); while (this.step(plan));
  }

  #hang(): never {
    const pending = this.describePending();
    throw new AssertionError(`A promise hangs; in flight: ${pending}${this.#choices}`);
  }

  /** Resets the counters and the log. */
  forget(): void {
    this.log.length = 0;
    Object.assign(this.counters, newCounters());
    this.mostBytes = this.#bytes;
  }

  /** The held operations, for messages. */
  describePending(): string {
    return this.#held.map(describe).join(", ") || "nothing";
  }

  /** Throws if an operation is in flight, or memory was not released. */
  assertIdle(): void {
    if (this.#held.length > 0) throw new AssertionError(`In flight: ${this.describePending()}`);
    if (this.#blocks.size > 0) {
      const sizes = [...this.#blocks].map((block) => block.size).join(", ");
      throw new AssertionError(`Blocks are not released: ${sizes} bytes`);
    }
  }

  /** Holds an operation that was submitted. */
  protected hold(
    operation: Operation,
    completion: Completion,
    effect: (most: number) => number,
  ): void {
    const facts = factsOf(operation);
    const held: HeldOperation = { ...facts, completion, effect };
    this.#held.push(held);
    this.log.push(`+ ${describe(held)}`);
    this.counters.inFlight++;
  }

  /** As {@linkcode Engine.acquire}. */
  acquire(size: number): Block {
    const rounded = Math.max(1, Math.ceil(size / PAGE)) * PAGE;
    // Old content: a test must notice if it is written as padding.
    const bytes = new Uint8Array(rounded).fill(0xa5);
    const block: Block = { bytes, size: rounded, address: this.#lastAddress, registration: -1 };
    this.#lastAddress += rounded;
    this.#blocks.add(block);
    this.#bytes += rounded;
    this.mostBytes = Math.max(this.mostBytes, this.#bytes);
    return block;
  }

  /** As {@linkcode Engine.release}. */
  release(block: Block): void {
    this.#blocks.delete(block);
    this.#bytes -= block.size;
    block.bytes.fill(0xdd);
  }
}

/** Tells whether a promise has settled, without waiting for it. */
function watched(promise: Promise<unknown>): { over: boolean } {
  const watch = { over: false };
  const over = () => {
    watch.over = true;
  };
  promise.then(over, over);
  return watch;
}
