// The engine of a program under simulation. An operation is performed at any time after its submission, and completes
// at any time after that. All times are virtual.

import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { Counters } from "../../../src/engine/counters.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { Errno } from "../../../src/engine/linux.ts";
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
  type SyncPoint,
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

/** The kernel's own part: in memory, or real. */
export interface Machine extends Pick<Engine, "isLocal" | "setFlags" | "setThreaded" | "realPath"> {
  readonly alignment: Alignment;
  readonly memory: SimulatedMemory;
  /** The description of a descriptor. */
  find(fd: number): OpenDescription | undefined;
  /** The extent of a sync that begins now. */
  syncPoint?(description: OpenDescription | undefined): SyncPoint;
  /** Performs an operation, with `now` on the JavaScript thread. Returns its result. */
  perform(flight: Flight, now: boolean): number;
  acquire(size: number): Block;
  dispose(): void;
}

/** Performs the operations of a {@linkcode Machine} in virtual time. */
export class TimedKernel implements Engine {
  readonly name = "scripted";
  readonly endsWithProcess = true;
  readonly counters: Counters = new Counters();
  readonly budget: BufferBudget;
  /** Observes every operation. */
  observer: FlightObserver | undefined;
  readonly #machine: Machine;
  readonly #clock: Clock;
  readonly #options: WorldOptions;
  readonly #judge: Judge;
  /** The typical time of an operation, in microseconds. */
  readonly #pace: number;
  /** The number of submitted operations. */
  operations = 0;
  #isDisposed = false;

  /** With a memory budget of streams. */
  constructor(machine: Machine, clock: Clock, budget: number, options: WorldOptions) {
    this.#machine = machine;
    this.#clock = clock;
    this.#options = options;
    this.budget = new BufferBudget(budget);
    this.#judge = new Judge(machine.alignment, machine.memory, options.violated);
    this.#pace = options.random.pick([1, 100, 100, 1000]);
  }

  /** Rejects all further operations. */
  dispose(): void {
    this.#isDisposed = true;
    this.#machine.dispose();
  }

  /** The file of a descriptor. */
  fileUnder(fd: number): FileView | undefined {
    return this.#machine.find(fd)?.file;
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  submit(operation: Operation, completion: Completion): void {
    const flight = this.#launch(operation, completion);
    if (!flight) return;
    if (operation.op === "pause") {
      this.#clock.after(operation.milliseconds * 1000, () => this.#complete(flight, 0));
      return;
    }
    const time = this.#duration();
    const part = this.#options.random.next();
    this.#clock.after(time * part, () => this.#perform(flight, false), false);
    this.#clock.after(time, () => this.#complete(flight, flight.result!));
  }

  runNow(operation: Operation): number {
    const flight = this.#isDisposed ? undefined : this.#launch(operation, { complete() {} });
    if (!flight) return -Errno.EBADF;
    this.#perform(flight, true);
    this.#complete(flight, flight.result!);
    return flight.result!;
  }

  waitNow(): boolean {
    const { inFlight } = this.counters;
    while (this.counters.inFlight === inFlight) {
      if (this.#clock.step() !== undefined) continue;
      if (inFlight === 0) return false;
      // After a rejected operation the program has ended.
      this.#options.violated("somebody waits for an operation that never ends");
      throw new Error("The simulation is over");
    }
    return true;
  }

  flush(): void {
    this.counters.submissions++;
  }

  /** Begins an operation; undefined if it is rejected. */
  #launch(operation: Operation, completion: Completion): Flight | undefined {
    if (this.#isDisposed) this.#options.violated(`${describe(operation)}: the engine is disposed`);
    const descriptions = descriptorsOf(operation).map((fd) => this.#machine.find(fd));
    const flight: Flight = {
      number: ++this.operations,
      operation,
      completion,
      descriptions,
      file: descriptions[operation.op === "copyRange" ? 1 : 0]?.file,
      bytes: operation.op === "write"
        ? operation.memory.bytes.slice(operation.offset, operation.offset + operation.length)
        : undefined,
      syncPoint: this.#machine.syncPoint?.(descriptions[0]),
      result: undefined,
    };
    this.#trace(`#${flight.number} ${describe(operation)}`);
    const isTaken = this.#judge.submit(flight);
    this.counters.inFlight++;
    if (!isTaken) return undefined;
    this.observer?.submitted(flight);
    return flight;
  }

  /** Most operations take some microseconds, and a few take longer than all others together. */
  #duration(): number {
    const { random } = this.#options;
    const usual = 1 + random.next() * this.#pace;
    return random.chance(0.03) ? usual * random.pick([20, 1000]) : usual;
  }

  /** Performs an operation. The module does not know its result yet. */
  #perform(flight: Flight, now: boolean): void {
    flight.result = this.#machine.perform(flight, now);
    this.observer?.performed(flight);
  }

  #complete(flight: Flight, result: number): void {
    const { operation, completion } = flight;
    flight.result = result;
    this.#judge.complete(flight);
    this.counters.inFlight--;
    this.counters.count(operation, result);
    this.#trace(`  #${flight.number} -> ${result}`);
    this.observer?.returned(flight);
    completion.complete(result);
    this.observer?.completed();
  }

  #trace(event: string): void {
    this.#options.trace?.(`${this.#clock.now.toFixed(0)} µs  ${event}`);
  }

  // ---- the rest of an engine --------------------------------------------------------------------------------------

  #assertOpen(fd: number, call: string): void {
    if (!this.#machine.find(fd)) this.#options.violated(`${call}: fd ${fd} is closed`);
  }

  setThreaded(fd: number, threaded: boolean): void {
    this.#assertOpen(fd, "setThreaded");
    this.#machine.setThreaded(fd, threaded);
  }

  isLocal(fd: number): boolean {
    this.#assertOpen(fd, "isLocal");
    return this.#machine.isLocal(fd);
  }

  setFlags(fd: number, flags: number): number {
    this.#assertOpen(fd, "setFlags");
    return this.#machine.setFlags(fd, flags);
  }

  realPath(fd: number): string | undefined {
    this.#assertOpen(fd, "realPath");
    return this.#machine.realPath(fd);
  }

  get memory(): SimulatedMemory {
    return this.#machine.memory;
  }

  acquire(size: number): Block {
    return this.#machine.acquire(size);
  }

  release(block: Block): void {
    this.#judge.release(block);
  }
}
