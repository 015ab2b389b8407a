// A kernel in memory: the engine of the module under simulation. An operation is performed at any time after its
// submission, fails as drawn, and completes at any time after that. All times are virtual.

import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { Counters } from "../../../src/engine/counters.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { Errno, O_DIRECT } from "../../../src/engine/linux.ts";
import type { Block, Completion, Operation } from "../../../src/engine/operation.ts";
import type { Random } from "../random.ts";
import type { Clock } from "./clock.ts";
import { type Description, type DescriptorTable, EMFILE } from "./descriptors.ts";
import type { Faults, FaultTarget } from "./faults.ts";
import type { Mount } from "./file_systems.ts";
import { describe, type Flight, type FlightObserver, flightOf } from "./flight.ts";
import { Judge } from "./judge.ts";
import { SimulatedMemory } from "./memory.ts";
import type { Mirror } from "./mirror.ts";
import { SystemCalls } from "./system_calls.ts";

export interface KernelOptions {
  readonly mount: Mount;
  readonly descriptors: DescriptorTable;
  readonly faults: Faults;
  readonly clock: Clock;
  /** Performs each operation on the real kernel too. */
  readonly mirror: Mirror | undefined;
  /** The memory budget of streams. */
  readonly budget: number;
  readonly random: Random;
  /** Called for each broken rule for users of an engine. */
  readonly violated: (rule: string) => void;
  /** Called for every event, for a trace. */
  readonly trace: ((line: string) => void) | undefined;
}

export class SimulatedKernel implements Engine {
  readonly name = "simulated";
  readonly endsWithProcess = true;
  readonly counters: Counters = new Counters();
  readonly budget: BufferBudget;
  readonly memory: SimulatedMemory = new SimulatedMemory();
  /** Observes every operation. */
  observer: FlightObserver | undefined;
  readonly #options: KernelOptions;
  readonly #calls: SystemCalls;
  readonly #judge: Judge;
  /** The typical time of an operation, in microseconds. */
  readonly #pace: number;
  /** The number of submitted operations. */
  operations = 0;
  #isDisposed = false;

  constructor(options: KernelOptions) {
    const { mount, descriptors, random, violated } = options;
    this.#options = options;
    this.#calls = new SystemCalls(mount, descriptors, random.fork());
    this.budget = new BufferBudget(options.budget);
    this.#judge = new Judge(mount.kind, this.memory, violated);
    this.#pace = random.pick([1, 100, 100, 1000]);
  }

  /** Rejects all further operations. */
  dispose(): void {
    this.#isDisposed = true;
  }

  /** The description of a descriptor, which must be open. */
  description(fd: number): Description {
    const description = this.#options.descriptors.get(fd);
    if (!description) this.#options.violated(`fd ${fd} is closed`);
    return description!;
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  submit(operation: Operation, completion: Completion): void {
    const { clock, random } = this.#options;
    const flight = this.#launch(operation);
    if (!flight) return;
    const complete = () => this.#complete(flight, completion);
    if (operation.op === "pause") {
      flight.result = 0;
      return clock.after(operation.milliseconds * 1000, complete);
    }
    // Most operations take some microseconds, and a few take longer than all others together.
    const usual = 1 + random.next() * this.#pace;
    const time = random.chance(0.03) ? usual * random.pick([20, 1000]) : usual;
    clock.after(time * random.next(), () => this.#perform(flight, operation.op), false);
    clock.after(time, complete);
  }

  runNow(operation: Operation): number {
    const flight = this.#isDisposed ? undefined : this.#launch(operation);
    if (!flight) return -Errno.EBADF;
    this.#perform(flight, inMemory(operation));
    this.#complete(flight, { complete() {} });
    return flight.result!;
  }

  waitNow(): boolean {
    const { inFlight } = this.counters;
    const { clock, violated } = this.#options;
    while (this.counters.inFlight === inFlight) {
      if (clock.step() !== undefined) continue;
      if (inFlight === 0) return false;
      // After a rejected operation the program has ended.
      violated("somebody waits for an operation that never ends");
      throw new Error("The simulation is over");
    }
    return true;
  }

  flush(): void {
    this.counters.submissions++;
  }

  /** Begins an operation; undefined if it is rejected. */
  #launch(operation: Operation): Flight | undefined {
    const { mount, descriptors, violated } = this.#options;
    if (this.#isDisposed) violated(`${describe(operation)}: the engine is disposed`);
    const flight = flightOf(operation, descriptors, mount.tree);
    this.operations++;
    this.#trace(describe(operation));
    const isTaken = this.#judge.submit(flight);
    this.counters.inFlight++;
    if (!isTaken) return undefined;
    this.observer?.submitted(flight);
    return flight;
  }

  /** Performs an operation, which may fail. The module does not know its result yet. */
  #perform(flight: Flight, target: FaultTarget): void {
    const { mount, faults, mirror, violated } = this.#options;
    const { operation } = flight;
    const lacksCache = target === "openDirectoryNow" && mount.kind.lacks.has("cached lookup");
    const length = "length" in operation ? operation.length : 0;
    const fate = lacksCache
      ? { errno: Errno.EAGAIN, most: 0 }
      : target !== operation.op
      ? { errno: faults.ofCall(target), most: length }
      : this.#calls.readsMounts(flight)
      ? { errno: 0, most: length }
      : faults.of(operation.op, length);
    const result = this.#calls.perform(flight, fate);
    // The limit of descriptors counts as a fault.
    if (result === -EMFILE && fate.errno === 0) {
      faults.happened.push({ target: "open", errno: EMFILE });
    }
    flight.result = result;
    const difference = mirror?.perform(flight);
    if (difference) violated(`${describe(operation)}: ${difference}`);
    this.observer?.performed(flight);
  }

  #complete(flight: Flight, completion: Completion): void {
    const { operation, result } = flight;
    this.#judge.complete(flight);
    this.counters.inFlight--;
    this.counters.count(operation, result!);
    this.#trace(`  ${describe(operation)} -> ${result}`);
    this.observer?.returned(flight);
    completion.complete(result!);
    this.observer?.completed();
  }

  #trace(event: string): void {
    this.#options.trace?.(`${this.#options.clock.now.toFixed(0)} µs  ${event}`);
  }

  // ---- the rest of an engine --------------------------------------------------------------------------------------

  setThreaded(fd: number): void {
    this.description(fd);
  }

  isLocal(fd: number): boolean {
    return this.description(fd) !== undefined;
  }

  setFlags(fd: number, flags: number): number {
    const { mount, faults, descriptors } = this.#options;
    this.description(fd);
    const errno = faults.ofCall("setFlags") || (mount.kind.hasDirectIo ? 0 : Errno.EINVAL);
    return flags & O_DIRECT && errno ? -errno : descriptors.setFlags(fd, flags);
  }

  realPath(fd: number): string | undefined {
    const { mount: { kind, tree }, faults } = this.#options;
    const { node } = this.description(fd);
    if (kind.lacks.has("proc") || faults.ofCall("realPath")) return undefined;
    return tree.pathOf(node);
  }

  acquire(size: number): Block {
    if (this.#options.faults.ofCall("acquire")) {
      throw new RangeError(`Cannot map ${size} bytes for I/O buffers (os error 12)`);
    }
    return this.memory.acquire(size);
  }

  release(block: Block): void {
    this.#judge.release(block);
  }
}

/** An operation that the kernel performs in memory, on the JavaScript thread, has faults of its own. */
function inMemory(operation: Operation): FaultTarget {
  const { op } = operation;
  if (op === "open" && operation.cached) return "openDirectoryNow";
  if (op === "open" && operation.name === ".") return "openWorkingDirectory";
  return op === "stat" ? "statNow" : op === "close" ? "closeNow" : op;
}
