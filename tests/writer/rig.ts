// A writer on a scripted engine, with what must be true after every single event.

import { assert, assertEquals, AssertionError } from "@std/assert";
import { Buffer } from "node:buffer";
import type { DmaError } from "../../src/errors.ts";
import { DISK } from "../../src/file/file_system.ts";
import { OpenFile } from "../../src/file/open_file.ts";
import type { BufferBudget } from "../../src/engine/buffer_budget.ts";
import { Writer } from "../../src/writer/writer.ts";
import type { WriterOptions } from "../../src/writer/writer_options.ts";
import { ScriptedEngine, turn } from "../support/scripted_engine.ts";
import { type Held, inOrder, type Plan } from "../support/scripted_operation.ts";

/** How a {@linkcode Rig} differs from the usual one. */
export interface RigOptions {
  /** What is in the file before. */
  content?: Uint8Array;
  alignment?: number;
  /** False goes through the page cache, at the exact length. */
  direct?: boolean;
  bufferSize?: number;
  writeBehind?: number;
  start?: number;
  preallocate?: boolean;
  sizeHint?: number;
  budget?: BufferBudget;
}

/** A call whose promise is watched. */
export interface Call {
  readonly name: string;
  readonly promise: Promise<unknown>;
  state: "pending" | "resolved" | "rejected";
  value: unknown;
}

/** The byte that stands at a position after writing: never zero, so that it is no padding. */
export function byteAt(position: number): number {
  return 1 + (position * 131 + (position >>> 9) * 17) % 251;
}

/** What is written from one position to another. */
export function pattern(from: number, to: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(0, to - from));
  for (let index = 0; index < bytes.length; index++) bytes[index] = byteAt(from + index);
  return bytes;
}

/** What was in a file before: neither padding nor pattern. */
export function oldContent(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).map((_, index) => 252 + index % 4);
}

/** A writer, in the words of these tests. */
class Subject {
  readonly #writer: Writer;
  readonly #options: { syncOnClose: boolean };
  readonly #engine: ScriptedEngine;

  constructor(writer: Writer, options: { syncOnClose: boolean }, engine: ScriptedEngine) {
    this.#writer = writer;
    this.#options = options;
    this.#engine = engine;
  }

  get position(): number {
    return this.#writer.position;
  }

  get flushedPosition(): number {
    return this.#writer.flushedPosition;
  }

  get hasRoom(): boolean {
    return this.#writer.hasRoom;
  }

  get inFlight(): number {
    return this.#engine.pendingOf("write").length;
  }

  write(bytes: Uint8Array, from = 0): number {
    return this.#writer.write(bytes, from);
  }

  room(): Promise<void> {
    return this.#writer.room();
  }

  flush(): Promise<number> {
    return this.#writer.flush(false);
  }

  sync(tail: boolean): Promise<number> {
    return this.#writer.sync(tail);
  }

  /** Closes, and leaves the descriptor open. */
  finish(durable: boolean): Promise<void> {
    this.#options.syncOnClose = durable;
    return this.#writer.close();
  }

  /** Aborts. Resolves to the failure of the cut. */
  abort(reason: unknown): Promise<DmaError | undefined> {
    return this.#writer.abort(reason).then(() => undefined, (error) => error);
  }
}

/** A writer at work. */
export class Rig {
  readonly engine: ScriptedEngine;
  readonly fd: number;
  readonly file: OpenFile;
  readonly core: Subject;
  readonly start: number;
  readonly calls: Call[] = [];
  readonly #writer: Writer;
  readonly #old: Uint8Array;
  readonly #writeBehind: number;
  #flushed: number;

  /** Blocks of 512 bytes, buffers of 1,024, two in flight, and a new file, unless told otherwise. */
  static async make(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    await rig.engine.drain();
    rig.engine.forget();
    return rig;
  }

  private constructor(options: RigOptions) {
    const { content = new Uint8Array(0), alignment = 512, writeBehind = 2, start = 0 } = options;
    this.engine = new ScriptedEngine({ alignment });
    if (options.budget) this.engine.budget = options.budget;
    this.fd = this.engine.create(content);
    this.start = start;
    this.#old = content;
    this.#writeBehind = writeBehind;
    this.#flushed = start;
    this.file = new OpenFile({
      engine: this.engine,
      fd: this.fd,
      path: "scripted",
      name: undefined,
      direct: options.direct ?? true,
      memoryAlignment: 512,
      alignment,
      readable: true,
      writable: true,
      size: content.length,
      device: 1,
      inode: 1n,
      created: false,
      ownsSize: content.length === 0 && start === 0,
      atomicWrite: { min: 0, max: 0 },
      fileSystem: DISK,
      requiresDirect: false,
      appends: false,
    });
    this.file.synced = this.file.changes;
    const checked: { -readonly [Name in keyof WriterOptions]: WriterOptions[Name] } = {
      bufferSize: options.bufferSize ?? 1024,
      writeBehind,
      sharesMemory: options.budget !== undefined,
      position: start,
      append: false,
      sizeHint: options.sizeHint ?? 0,
      preallocate: options.preallocate ?? true,
      syncOnClose: true,
      closeFile: false,
    };
    const writer = new Writer(this.file, checked);
    this.core = new Subject(writer, checked, this.engine);
    this.#writer = writer;
    this.engine.afterEach = () => this.check();
  }

  /** The failure, where it was not asked for. */
  get failures(): DmaError[] {
    const { failure } = this.#writer;
    return failure && !failure.aborted ? [failure.reason as DmaError] : [];
  }

  /** What the file is to keep, whatever is written. */
  get keep(): number {
    return this.#old.length;
  }

  /** The only operation of that kind in flight. */
  only(kind: Held["kind"]): Held {
    return this.engine.only(kind);
  }

  /** Positions of the writes in flight. */
  get writing(): number[] {
    return this.engine.pendingOf("write").map(({ position }) => position);
  }

  /** Writes the next `length` bytes, as far as there is room, and returns how many that was. */
  write(length: number): number {
    const { core } = this;
    const { position } = core;
    const taken = core.write(pattern(position, position + length));
    assertEquals(core.position, position + taken, "position after a write");
    this.check();
    return taken;
  }

  /** Writes the next `length` bytes, all of which must be taken at once. */
  fill(length: number): void {
    assertEquals(this.write(length), length, "bytes taken");
  }

  /** Watches the promise of a call. */
  call(name: string, promise: Promise<unknown>): Call {
    const call: Call = { name, promise, state: "pending", value: undefined };
    promise.then(
      (value) => Object.assign(call, { state: "resolved", value }),
      (value) => Object.assign(call, { state: "rejected", value }),
    );
    this.calls.push(call);
    return call;
  }

  /** Asks for a sync, and holds it to what it promises. */
  sync(tail = false): Call {
    const target = tail ? this.core.position : 0;
    const promise = this.core.sync(tail).then((position) => {
      assert(position >= target, `sync resolves to ${position}, below ${target}`);
      assert(position <= this.core.flushedPosition, `sync resolves to ${position}, not flushed`);
      this.#assertPattern(this.engine.file(this.fd).durable, position, "durable");
      return position;
    });
    return this.call(`sync(${tail})`, promise);
  }

  /** Asks for a flush. */
  flush(): Call {
    return this.call("flush", this.core.flush());
  }

  /** What must be true at any time. */
  check(): void {
    const { core, engine } = this;
    const flushed = core.flushedPosition;
    assert(flushed >= this.#flushed, `flushedPosition went from ${this.#flushed} to ${flushed}`);
    assert(flushed <= core.position, `flushedPosition ${flushed} is past ${core.position}`);
    this.#flushed = flushed;
    assert(core.inFlight <= this.#writeBehind, `${core.inFlight} writes in flight`);
    this.#assertPattern(engine.file(this.fd).content(), flushed, "flushed");
    this.#assertKept();
  }

  /** What every byte below `end` must be. */
  expected(end: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(end);
    bytes.set(this.#old.subarray(0, Math.min(this.start, end)));
    bytes.set(pattern(this.start, end), Math.min(this.start, end));
    return bytes;
  }

  #assertPattern(content: Uint8Array, end: number, what: string): void {
    // The file may not reach up to where nothing was written yet.
    if (end === this.start) return;
    const expected = this.expected(end);
    if (content.length >= end && Buffer.compare(content.subarray(0, end), expected) === 0) return;
    assertEquals(content.slice(0, end), expected, `${what} bytes below ${end}`);
  }

  /** What stands after the last byte that was written stays. */
  #assertKept(): void {
    const end = this.core.position;
    if (end >= this.keep) return;
    const now = this.engine.file(this.fd).content(end, this.keep);
    assertEquals(now, this.#old.slice(end, this.keep), `bytes from ${end} on`);
  }

  /** The file has what was written, up to `end`, what was there before, and not a byte more. */
  assertFile(end: number = this.core.position): void {
    const now = this.engine.file(this.fd).content();
    const written = end > this.start;
    assertEquals(now.length, written ? Math.max(this.keep, end) : this.#old.length, "length");
    this.#assertPattern(now, end, "written");
    this.#assertKept();
  }

  /** Every call has settled, nothing is in flight, and all memory is given back. */
  assertQuiet(): void {
    this.engine.assertIdle();
    for (const { name, state } of this.calls) {
      if (state === "pending") throw new AssertionError(`${name} never settles`);
    }
  }

  /** Aborts after a failure: the file is cut, memory given back, and everything settled. */
  async leave(plan: Plan = inOrder): Promise<void> {
    const cut = await this.engine.drive(this.core.abort(new Error("aborted")), plan);
    assertEquals(cut, undefined, "failure of the cut");
    await turn();
    this.check();
    this.assertQuiet();
    this.assertFile(this.core.flushedPosition);
  }
}

/** A core that is told to finish, and everything about it checked. */
export async function finish(rig: Rig, plan: Plan = inOrder): Promise<void> {
  const { core, engine } = rig;
  await engine.drive(core.finish(true), plan);
  await turn();
  assertEquals(core.flushedPosition, core.position, "flushedPosition after finish");
  rig.assertQuiet();
  rig.assertFile();
  const { durable } = engine.file(rig.fd);
  assertEquals(durable, engine.file(rig.fd).content(), "durable after finish");
}
