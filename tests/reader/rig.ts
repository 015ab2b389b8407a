// A read-ahead core on a scripted engine, with what must be true after every single event.

import { assert, assertEquals } from "@std/assert";
import { DISK } from "../../src/file/file_system.ts";
import { OpenFile } from "../../src/file/open_file.ts";
import type { BufferBudget } from "../../src/engine/buffer_budget.ts";
import { ReadAhead } from "../../src/reader/read_ahead.ts";
import type { ReaderOptions } from "../../src/reader/reader_options.ts";
import { pattern } from "../support/bytes.ts";
import { ScriptedEngine } from "../support/scripted_engine.ts";
import { inOrder, type Plan } from "../support/scripted_operation.ts";

/** How a {@linkcode Rig} differs from the usual one. */
export interface RigOptions extends Partial<ReaderOptions> {
  budget?: BufferBudget;
  /** Bytes of the file. */
  size?: number;
  alignment?: number;
}

/** A core at work on a file with {@linkcode pattern} in it. */
export class Rig {
  readonly engine: ScriptedEngine;
  readonly fd: number;
  readonly file: OpenFile;
  readonly core: ReadAhead;
  readonly readAhead: number;
  readonly bufferSize: number;
  /** Where the consumer is: what {@linkcode ReadAhead.position} must be. */
  position: number;

  /** Blocks of 512 bytes, buffers of 1,024, two ahead, and a file of 5,000 bytes, unless told otherwise. */
  constructor(options: RigOptions = {}) {
    const { size = 5000, alignment = 512, start = 0, end = Number.MAX_SAFE_INTEGER } = options;
    const { bufferSize = 1024, readAhead = 2 } = options;
    this.engine = new ScriptedEngine({ alignment });
    this.fd = this.engine.create(pattern(size));
    this.file = new OpenFile({
      engine: this.engine,
      fd: this.fd,
      path: "scripted",
      direct: true,
      memoryAlignment: 512,
      alignment,
      readable: true,
      writable: false,
      device: 1,
      inode: 1n,
      name: undefined,
      size,
      created: false,
      ownsSize: false,
      atomicWrite: { min: 0, max: 0 },
      fileSystem: DISK,
      requiresDirect: false,
      appends: false,
    });
    const { budget } = options;
    if (budget) this.engine.budget = budget;
    const sharesMemory = budget !== undefined;
    this.core = new ReadAhead(this.file, { start, end, bufferSize, readAhead, sharesMemory });
    this.readAhead = readAhead;
    this.bufferSize = bufferSize;
    this.position = start;
    this.engine.afterEach = () => this.check();
  }

  /** What must be true at any time. */
  check(): void {
    const { core, engine, readAhead } = this;
    const most = readAhead + 1;
    assert(core.buffers <= most, `${core.buffers} buffers, ${most} are allowed`);
    for (const { length } of engine.pendingOf("read")) {
      assert(length <= this.bufferSize, `A read of ${length} bytes into ${this.bufferSize}`);
    }
  }

  /** Where the reads in flight start. */
  get reading(): number[] {
    return this.engine.pendingOf("read").map(({ position }) => position);
  }

  /** What there is now, at most so much: a copy, whose bytes must be those of the file. */
  peek(most = Infinity): Uint8Array<ArrayBuffer> | null | undefined {
    const seen = this.core.peek(most);
    this.check();
    if (seen) {
      assert(seen.length > 0 && seen.length <= most, `peek(${most}) shows ${seen.length} bytes`);
      assertEquals(seen.slice(), pattern(seen.length, this.position), `bytes at ${this.position}`);
    }
    return seen?.slice() ?? (seen as null | undefined);
  }

  /** Takes the next bytes, which must be there. Returns how many. */
  take(most = Infinity): number {
    const seen = this.peek(most);
    assert(seen, `Nothing to take at ${this.position}: ${seen}`);
    this.core.advance(seen.length);
    this.position += seen.length;
    assertEquals(this.core.position, this.position, "position after advance");
    this.check();
    return seen.length;
  }

  /** Goes forward, to `end` at most. */
  skip(bytes: number, end = this.engine.file(this.fd).size): void {
    this.core.skip(bytes);
    this.position = Math.min(this.position + bytes, Math.max(end, this.position));
    assertEquals(this.core.position, this.position, `position after skip(${bytes})`);
    this.check();
  }

  /** Takes what comes until the end, in pieces of `most`. Returns how many bytes that was. */
  async rest(plan: Plan = inOrder, most = Infinity): Promise<number> {
    const from = this.position;
    for (;;) {
      const seen = this.peek(most);
      if (seen === null) return this.position - from;
      if (seen) this.take(most);
      else await this.engine.drive(this.core.ready(), plan);
    }
  }

  /** Cancels, and everything must be free when that is over. */
  async cancel(plan: Plan = inOrder): Promise<void> {
    await this.engine.drive(this.core.cancel(), plan);
    this.assertFree();
    assertEquals(this.core.peek(1), null, "peek after cancel");
    await this.engine.drive(this.file.descriptor.close());
  }

  /** Nothing is in flight, and no memory is out. */
  assertFree(): void {
    this.engine.assertIdle();
    assertEquals(this.core.buffers, 0, "buffers");
  }

  /** Reads the rest of the file, which must reach up to `end`, and leaves nothing behind. */
  async finish(end: number, plan: Plan = inOrder, most = Infinity): Promise<void> {
    await this.rest(plan, most);
    assertEquals(this.position, end, "bytes to the end");
    await this.cancel(plan);
  }
}
