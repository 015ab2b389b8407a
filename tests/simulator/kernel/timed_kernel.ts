// The common part of all kernels under simulation. An operation is performed at any time after its submission, and
// completes at any time after that. All times are virtual.

import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { Counters } from "../../../src/engine/counters.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { AT_FDCWD, Errno } from "../../../src/engine/linux.ts";
import type { Block, Completion, Operation } from "../../../src/engine/operation.ts";
import type { Random } from "../random.ts";
import type { Clock } from "./clock.ts";
import {
  describe,
  descriptorsOf,
  type FileView,
  type Flight,
  type FlightObserver,
  type OpenDescription,
} from "./flight.ts";
import { type Alignment, Judge } from "./judge.ts";
import type { SimulatedMemory } from "./memory.ts";

export interface WorldOptions {
  readonly random: Random;
  /** Called for each broken rule for users of an engine. */
  readonly violated: (rule: string) => void;
  /** Called for every event, for a trace. */
  readonly trace?: ((line: string) => void) | undefined;
}

export interface TimedKernelOptions extends WorldOptions {
  readonly clock: Clock;
  /** The memory budget of streams. */
  readonly bufferBudget: number;
}

export type Opening = Extract<Operation, { op: "open" }>;
export type Stating = Extract<Operation, { op: "stat" }>;

/** An engine in virtual time. */
export abstract class TimedKernel<Description extends OpenDescription> implements Engine {
  readonly name = "scripted";
  readonly endsWithProcess = true;
  readonly counters: Counters = new Counters();
  readonly budget: BufferBudget;
  /** Observes every operation. */
  observer: FlightObserver | undefined;
  protected readonly judge: Judge;
  /** The typical time of an operation, in microseconds. */
  readonly #pace: number;
  /** The number of submitted operations. */
  operations = 0;
  protected disposed = false;

  constructor(
    protected readonly timed: TimedKernelOptions,
    alignment: Alignment,
    readonly memory: SimulatedMemory,
  ) {
    this.budget = new BufferBudget(timed.bufferBudget);
    this.judge = new Judge(alignment, memory, timed.violated);
    this.#pace = timed.random.pick([1, 100, 100, 1000]);
  }

  /** Rejects all further operations. */
  dispose(): void {
    this.disposed = true;
  }

  /** The description of a descriptor. */
  protected abstract lookUp(fd: number): Description | undefined;

  protected abstract fileOf(description: Description | undefined): FileView | undefined;

  /** The file of a descriptor. */
  fileUnder(fd: number): FileView | undefined {
    return this.fileOf(this.lookUp(fd));
  }

  /** An operation begins. */
  protected abstract launched(flight: Flight<Description>): void;

  /** Performs an operation. {@linkcode performed} must be called with its result before any other event. */
  protected abstract perform(flight: Flight<Description>): void;

  /** The same, on the JavaScript thread. */
  protected performNow(flight: Flight<Description>): void {
    this.perform(flight);
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  submit(operation: Operation, completion: Completion): void {
    const { clock, random } = this.timed;
    const flight = this.#launch(operation, completion);
    if (!flight) return;
    if (operation.op === "pause") {
      clock.after(operation.milliseconds * 1000, () => this.#complete(flight, 0));
      return;
    }
    const time = this.#duration();
    clock.after(time * random.next(), () => this.perform(flight), false);
    clock.after(time, () => this.#complete(flight, flight.result!));
  }

  /** Submits an operation to the kernel; undefined if it is rejected. */
  #launch(operation: Operation, completion: Completion): Flight<Description> | undefined {
    const { violated, trace, clock } = this.timed;
    if (this.disposed) violated(`${describe(operation)}: the engine is disposed`);
    const descriptions = descriptorsOf(operation).map((fd) => this.lookUp(fd));
    const [file, target] = descriptions.map((each) => this.fileOf(each));
    const flight: Flight<Description> = {
      number: ++this.operations,
      operation,
      completion,
      descriptions,
      file,
      target: operation.op === "copyRange" ? target : undefined,
      bytes: operation.op === "write"
        ? operation.memory.bytes.slice(operation.offset, operation.offset + operation.length)
        : undefined,
      result: undefined,
    };
    trace?.(`${clock.now.toFixed(0)} µs  #${flight.number} ${describe(operation)}`);
    const isTaken = this.judge.submit(flight);
    this.counters.inFlight++;
    if (!isTaken) return undefined;
    this.launched(flight);
    this.observer?.submitted(flight);
    return flight;
  }

  waitNow(): boolean {
    const { inFlight } = this.counters;
    const { clock, violated } = this.timed;
    while (this.counters.inFlight === inFlight) {
      if (clock.step() !== undefined) continue;
      if (inFlight === 0) return false;
      // After a rejected operation the program has ended.
      violated("somebody waits for an operation that never ends");
      throw new Error("The simulation is over");
    }
    return true;
  }

  runNow(operation: Operation): number {
    switch (operation.op) {
      case "stat":
        return this.statNow(operation);
      case "close":
        return this.#closeNow(operation.fd);
      case "open":
        if (operation.cached || operation.directory === AT_FDCWD) return this.openNow(operation);
    }
    const flight = this.#launch(operation, { complete: () => {} });
    if (!flight) return -Errno.EBADF;
    this.performNow(flight);
    this.#complete(flight, flight.result!);
    return flight.result!;
  }

  /** Most operations take some microseconds, and a few take longer than all others together. */
  #duration(): number {
    const { random } = this.timed;
    const usual = 1 + random.next() * this.#pace;
    return random.chance(0.03) ? usual * random.pick([20, 1000]) : usual;
  }

  /** Records the result of an operation, which the module does not know yet. */
  protected performed(flight: Flight<Description>, result: number): void {
    flight.result = result;
    this.observer?.performed(flight);
  }

  #complete(flight: Flight<Description>, result: number): void {
    const { trace, clock } = this.timed;
    const { operation, completion } = flight;
    flight.result = result;
    this.judge.complete(flight);
    this.counters.inFlight--;
    this.counters.count(operation, result);
    trace?.(`${clock.now.toFixed(0)} µs    #${flight.number} -> ${result}`);
    this.observer?.returned(flight);
    completion.complete(result);
    this.observer?.completed();
  }

  flush(): void {
    this.counters.submissions++;
  }

  // ---- calls that do not block ------------------------------------------------------------------------------------

  protected abstract statNow(operation: Stating): number;
  /** Opens a cached directory, or the working directory. */
  protected abstract openNow(operation: Opening): number;
  abstract setThreaded(fd: number, threaded: boolean): void;
  abstract isLocal(fd: number): boolean;
  abstract setFlags(fd: number, flags: number): number;
  abstract realPath(fd: number): string | undefined;

  /** Closes a descriptor at once. */
  protected abstract forget(fd: number): void;

  #closeNow(fd: number): number {
    this.note(`close fd ${fd} at once`);
    const description = this.standing(fd, "closeNow");
    if (description?.inFlight) this.timed.violated(`fd ${fd} is closed while it is in use`);
    this.forget(fd);
    return 0;
  }

  protected note(call: string): void {
    const { trace, clock } = this.timed;
    trace?.(`${clock.now.toFixed(0)} µs  ${call}`);
  }

  protected standing(fd: number, call: string): Description | undefined {
    const description = this.lookUp(fd);
    if (!description) this.timed.violated(`${call}: fd ${fd} is closed`);
    return description;
  }

  // ---- memory -----------------------------------------------------------------------------------------------------

  acquire(size: number): Block {
    return this.memory.acquire(size);
  }

  release(block: Block): void {
    this.judge.release(block);
  }
}
