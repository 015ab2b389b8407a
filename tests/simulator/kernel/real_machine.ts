// The real kernel. It performs one operation after the other, at the virtual time of each.

import { O_DIRECT } from "../../../src/engine/linux.ts";
import type { KernelEngine } from "../../../src/engine/kernel_engine.ts";
import type { Block } from "../../../src/engine/operation.ts";
import type { Flight, OpenDescription } from "./flight.ts";
import type { Machine } from "./kernel.ts";
import { SimulatedMemory } from "./memory.ts";
import type { RealFile } from "./real_file.ts";

interface RealDescription extends OpenDescription {
  isDirect: boolean;
}

export class RealMachine implements Machine {
  /** The real kernel checks the alignment of Direct I/O itself. */
  readonly alignment = { alignment: 1, memoryAlignment: 1 };
  readonly memory: SimulatedMemory;
  readonly #engine: KernelEngine;
  readonly #fileOf: (fd: number) => RealFile | undefined;
  readonly #open = new Map<number, RealDescription>();

  /** Uses the module's own engine, which has no other user. `fileOf` returns the regular file of a new descriptor. */
  constructor(engine: KernelEngine, fileOf: (fd: number) => RealFile | undefined) {
    this.memory = new SimulatedMemory((size) => engine.acquire(size));
    this.#engine = engine;
    this.#fileOf = fileOf;
  }

  find(fd: number): RealDescription | undefined {
    return this.#open.get(fd);
  }

  perform({ operation }: Flight): number {
    const result = this.#engine.runNow(operation);
    if (operation.op === "close") this.#open.delete(operation.fd);
    if (operation.op === "open" && result >= 0) {
      const isDirect = (operation.flags & O_DIRECT) !== 0;
      this.#open.set(result, { fd: result, isDirect, inFlight: 0, file: this.#fileOf(result) });
    }
    return result;
  }

  setThreaded(fd: number, threaded: boolean): void {
    this.#engine.setThreaded(fd, threaded);
  }

  isLocal(fd: number): boolean {
    return this.#engine.isLocal(fd);
  }

  setFlags(fd: number, flags: number): number {
    const result = this.#engine.setFlags(fd, flags);
    if (result >= 0) this.#open.get(fd)!.isDirect = (flags & O_DIRECT) !== 0;
    return result;
  }

  realPath(fd: number): string | undefined {
    return this.#engine.realPath(fd);
  }

  acquire(size: number): Block {
    return this.memory.acquire(size);
  }

  dispose(): void {
    for (const fd of this.#open.keys()) this.#engine.runNow({ op: "close", fd });
    this.#open.clear();
    for (const block of this.memory.all()) this.#engine.release(block);
  }
}
