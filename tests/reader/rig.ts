// A read-ahead core on a scripted engine. The simulator checks its bytes and positions.

import { assert, assertEquals } from "@std/assert";
import type { OperationName } from "../../src/engine/operation.ts";
import type { OpenFile } from "../../src/file/open_file.ts";
import { ReadAhead, type ReadAheadOptions } from "../../src/reader/read_ahead.ts";
import { pattern } from "../support/bytes.ts";
import {
  openScripted,
  type ScriptedEngine,
  type ScriptedOptions,
} from "../support/scripted_engine.ts";

/** The options of a {@linkcode Rig}. */
export interface RigOptions
  extends Partial<ReadAheadOptions>, Pick<ScriptedOptions, "alignment" | "budget"> {
  /** Bytes of the file. */
  size?: number;
}

/** A core that reads a file with {@linkcode pattern}. */
export class Rig {
  readonly engine: ScriptedEngine;
  readonly file: OpenFile;
  readonly core: ReadAhead;

  /** By default blocks of 512 bytes, buffers of 1,024, two ahead, and a file of 5,000 bytes. */
  constructor(options: RigOptions = {}) {
    const { size = 5000, start = 0, end = Number.MAX_SAFE_INTEGER, budget } = options;
    const { bufferSize = 1024, readAhead = 2 } = options;
    const { engine, file } = openScripted({ ...options, content: pattern(size) });
    this.engine = engine;
    this.file = file;
    const sharesMemory = budget !== undefined;
    this.core = new ReadAhead(file, { start, end, bufferSize, readAhead, sharesMemory });
  }

  /** Completes the only operation of that kind. */
  end(kind: OperationName, result?: number): void {
    this.engine.complete(this.engine.only(kind), result);
  }

  /** The positions of the reads in flight. */
  get reading(): number[] {
    return this.engine.pendingOf("read").map(({ position }) => position);
  }

  /** The number of ready bytes, at most `most`; null at the end, undefined if none are ready. */
  peek(most = Infinity): number | null | undefined {
    const seen = this.core.peek(most);
    return seen ? seen.length : seen as null | undefined;
  }

  /** Takes the next bytes, which must be ready. Returns their number. */
  take(most?: number): number {
    const length = this.peek(most);
    assert(length, `Nothing to take at ${this.core.position}: ${length}`);
    this.core.advance(length);
    return length;
  }

  /** Takes what comes until the end. */
  async rest(): Promise<void> {
    for (let length; (length = this.peek()) !== null;) {
      if (length) this.take();
      else await this.engine.drive(this.core.ready());
    }
  }

  /** Cancels, after which everything must be free. */
  async cancel(): Promise<void> {
    await this.engine.drive(this.core.cancel());
    this.assertFree();
    await this.engine.drive(this.file.close());
  }

  /** Asserts that nothing is in flight, and no memory is in use. */
  assertFree(): void {
    this.engine.assertIdle();
    assertEquals(this.core.buffers, 0, "buffers");
  }

  /** Reads the rest of the file, which must reach up to `end`. */
  async finish(end: number): Promise<void> {
    await this.rest();
    assertEquals(this.core.position, end, "bytes to the end");
  }
}

/** Registers a test of a rig, which is cancelled afterwards. */
export function testRig(
  name: string,
  options: RigOptions,
  fn: (rig: Rig) => void | Promise<void>,
): void {
  Deno.test(`ReadAhead ${name}`, async () => {
    const rig = new Rig(options);
    await fn(rig);
    await rig.cancel();
  });
}
