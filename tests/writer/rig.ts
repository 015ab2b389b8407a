// A writer on a scripted engine. That its bytes and positions are right the simulator proves.

import { assertEquals } from "@std/assert";
import { Durability } from "../../src/file/durability.ts";
import type { OperationName } from "../../src/engine/operation.ts";
import type { OpenFile } from "../../src/file/open_file.ts";
import { Writer } from "../../src/writer/writer.ts";
import {
  openScripted,
  type Plan,
  type ScriptedEngine,
  type ScriptedOptions,
  turn,
} from "../support/scripted_engine.ts";

/** How a {@linkcode Rig} differs from the usual one. */
export interface RigOptions extends ScriptedOptions {
  readonly bufferSize?: number;
  readonly writeBehind?: number;
  readonly start?: number;
  readonly preallocate?: boolean;
  readonly sizeHint?: number;
}

/** A call whose promise is watched. */
export interface Call<T = unknown> {
  readonly promise: Promise<T>;
  state: "pending" | "resolved" | "rejected";
  value: T | undefined;
}

export class Rig {
  readonly engine: ScriptedEngine;
  readonly file: OpenFile;
  readonly writer: Writer;

  /** Blocks of 512 bytes, buffers of 1,024, two in flight, and a new file, unless told otherwise. */
  static async make(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    await rig.engine.drain();
    rig.engine.log.length = 0;
    return rig;
  }

  private constructor(options: RigOptions) {
    const { engine, file } = openScripted(options);
    this.engine = engine;
    this.file = file;
    // As though opening it had changed nothing.
    const changeable: { durability: Durability } = file;
    changeable.durability = new Durability(file.descriptor, false);
    this.writer = new Writer(file, {
      bufferSize: options.bufferSize ?? 1024,
      writeBehind: options.writeBehind ?? 2,
      sharesMemory: options.budget !== undefined,
      position: options.start ?? 0,
      append: false,
      sizeHint: options.sizeHint ?? 0,
      preallocate: options.preallocate ?? true,
      syncOnClose: true,
      closeFile: false,
    });
  }

  /** The kinds of operations in flight. */
  get inFlight(): OperationName[] {
    return this.engine.pending.map(({ kind }) => kind);
  }

  /** The length of the file. */
  get size(): number {
    return this.engine.file(this.file.fd).size;
  }

  /** Position and length of each write in flight. */
  get writing(): [number, number][] {
    return this.engine.pendingOf("write").map(({ position, length }) => [position, length]);
  }

  /** Writes `length` bytes, as far as there is room, and returns how many that was. */
  write(length: number): number {
    return this.writer.write(new Uint8Array(length).fill(1), 0);
  }

  /** Writes `length` bytes, all of which must be taken at once. */
  fill(length: number): void {
    assertEquals(this.write(length), length, "bytes taken");
  }

  flush(tail: boolean): Promise<number> {
    return this.writer.flush(tail, false);
  }

  sync(tail: boolean): Promise<number> {
    return this.writer.flush(tail, true);
  }

  /** Completes the only operation of that kind, and lets the writer go on. */
  async end(kind: OperationName, result?: number): Promise<void> {
    this.engine.complete(this.engine.only(kind), result);
    await turn();
  }

  /** Closes, and everything must be written and given back. */
  async finish(plan?: Plan): Promise<void> {
    await this.engine.drive(this.writer.close(), plan);
    this.engine.assertIdle();
    const { position, flushedPosition } = this.writer;
    assertEquals(flushedPosition, position);
  }
}

/** Registers a test of a rig. Afterwards the writer is closed, and everything must be written and given back. */
export function testRig(
  name: string,
  options: RigOptions,
  fn: (rig: Rig) => void | Promise<void>,
): void {
  Deno.test(`Writer: ${name}`, async () => {
    const rig = await Rig.make(options);
    await fn(rig);
    await rig.finish();
  });
}

export function watch<T>(promise: Promise<T>): Call<T> {
  const call: Call<T> = { promise, state: "pending", value: undefined };
  promise.then(
    (value) => Object.assign(call, { state: "resolved", value }),
    (value) => Object.assign(call, { state: "rejected", value }),
  );
  return call;
}
