// The real kernel in virtual time: an operation is performed at its time, or earlier together with others.

import { Errno, O_DIRECT } from "../../../src/engine/linux.ts";
import type { KernelEngine } from "../../../src/engine/kernel_engine.ts";
import type { Operation, OperationName } from "../../../src/engine/operation.ts";
import type { Flight, OpenDescription } from "./flight.ts";
import { SimulatedMemory } from "./memory.ts";
import type { RealFile } from "./real_file.ts";
import {
  type Opening,
  type Stating,
  TimedKernel,
  type TimedKernelOptions,
} from "./timed_kernel.ts";

export interface RealKernelOptions extends TimedKernelOptions {
  /** The module's own engine, with no other user. */
  readonly engine: KernelEngine;
  /** The regular file that was opened. */
  readonly fileOf: (fd: number) => RealFile | undefined;
}

interface RealDescription extends OpenDescription {
  readonly file: RealFile | undefined;
  isDirect: boolean;
}

type RealFlight = Flight<RealDescription>;

/** The operations that may be performed in any order, and at once. */
const TOGETHER: ReadonlySet<OperationName> = new Set(["read", "write", "sync", "stat", "statfs"]);

/** The real kernel checks the alignment of Direct I/O itself. */
const ANY_ALIGNMENT = { alignment: 1, memoryAlignment: 1 };

/** Performs operations by an engine of the module at their virtual times. */
export class RealKernel extends TimedKernel<RealDescription> {
  readonly #engine: KernelEngine;
  readonly #fileOf: (fd: number) => RealFile | undefined;
  readonly #open = new Map<number, RealDescription>();
  /** Operations that may be performed together with others, and are waiting. */
  readonly #waiting = new Set<RealFlight>();
  /** Operations in flight in the real kernel, and their results. */
  readonly #performing = new Map<RealFlight, number | undefined>();

  constructor(options: RealKernelOptions) {
    const { engine, fileOf } = options;
    super(options, ANY_ALIGNMENT, new SimulatedMemory((size) => engine.acquire(size)));
    this.#engine = engine;
    this.#fileOf = fileOf;
  }

  protected lookUp(fd: number): RealDescription | undefined {
    return this.#open.get(fd);
  }

  protected fileOf(description: RealDescription | undefined): RealFile | undefined {
    return description?.file;
  }

  protected launched(flight: RealFlight): void {
    if (TOGETHER.has(flight.operation.op)) this.#waiting.add(flight);
  }

  protected perform(flight: RealFlight): void {
    const { random } = this.timed;
    const isAlone = !TOGETHER.has(flight.operation.op);
    if (!isAlone && !this.#waiting.has(flight)) return;
    this.#waiting.delete(flight);
    const others = isAlone ? [] : [...this.#waiting].filter(() => random.chance(0.7));
    for (const each of [flight, ...others]) this.#begin(each);
    this.#settle();
  }

  #begin(flight: RealFlight): void {
    this.#waiting.delete(flight);
    this.#performing.set(flight, undefined);
    const complete = (result: number) => void this.#performing.set(flight, result);
    this.#engine.submit(flight.operation, { complete });
  }

  protected override performNow(flight: RealFlight): void {
    this.#waiting.delete(flight);
    this.#end(flight, this.#engine.runNow(flight.operation));
  }

  #settle(): void {
    this.#engine.flush();
    const isOver = () => [...this.#performing.values()].every((result) => result !== undefined);
    while (!isOver()) this.#engine.waitNow(1000);
    for (const [flight, result] of this.#performing) {
      this.#performing.delete(flight);
      this.#end(flight, result!);
    }
  }

  #end(flight: RealFlight, result: number): void {
    const { operation } = flight;
    if (operation.op === "open") this.#track(result, operation.flags);
    if (operation.op === "close") this.#open.delete(operation.fd);
    this.performed(flight, result);
  }

  #track(fd: number, flags: number): number {
    if (fd < 0) return fd;
    const isDirect = (flags & O_DIRECT) !== 0;
    this.#open.set(fd, { fd, isDirect, inFlight: 0, file: this.#fileOf(fd) });
    return fd;
  }

  override runNow(operation: Operation): number {
    return this.disposed ? -Errno.EBADF : super.runNow(operation);
  }

  override dispose(): void {
    super.dispose();
    for (const fd of this.#open.keys()) this.#engine.runNow({ op: "close", fd });
    this.#open.clear();
    for (const block of this.memory.all()) this.#engine.release(block);
  }

  // ---- calls that do not block ------------------------------------------------------------------------------------

  protected statNow(operation: Stating): number {
    return this.standing(operation.fd, "statNow") ? this.#engine.runNow(operation) : -Errno.EBADF;
  }

  protected openNow(operation: Opening): number {
    return this.#track(this.#engine.runNow(operation), operation.flags);
  }

  setThreaded(fd: number, threaded: boolean): void {
    if (this.standing(fd, "setThreaded")) this.#engine.setThreaded(fd, threaded);
  }

  isLocal(fd: number): boolean {
    return this.standing(fd, "isLocal") !== undefined && this.#engine.isLocal(fd);
  }

  setFlags(fd: number, flags: number): number {
    const description = this.standing(fd, "setFlags");
    if (!description) return -Errno.EBADF;
    const result = this.#engine.setFlags(fd, flags);
    if (result >= 0) description.isDirect = (flags & O_DIRECT) !== 0;
    return result;
  }

  realPath(fd: number): string | undefined {
    return this.standing(fd, "realPath") && this.#engine.realPath(fd);
  }

  protected forget(fd: number): void {
    if (this.#open.delete(fd)) this.#engine.runNow({ op: "close", fd });
  }
}
