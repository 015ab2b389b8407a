// A kernel in memory: the engine of the module under simulation. An operation is performed at any time after its
// submission, fails as drawn, and completes at any time after that. All times are virtual.

import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { Counters } from "../../../src/engine/counters.ts";
import type { Device, Engine } from "../../../src/engine/engine.ts";
import { Errno, O_DIRECT, RESOLVE_CACHED } from "../../../src/engine/linux.ts";
import type { Completion, Memory, Operation } from "../../../src/engine/operation.ts";
import { populate } from "../files.ts";
import type { Random } from "../random.ts";
import { Clock } from "./clock.ts";
import { type Description, DescriptorTable, EMFILE } from "./descriptors.ts";
import { DirectoryTree, type SimulatedDirectory } from "./directory_tree.ts";
import { Faults, type FaultTarget } from "./faults.ts";
import { drawFileSystem, type FileSystemKind } from "./file_systems.ts";
import { describe, type Flight, type FlightObserver, flightOf } from "./flight.ts";
import { Judge } from "./judge.ts";
import { SimulatedMemory } from "./memory.ts";
import type { Mirror } from "./mirror.ts";
import { SystemCalls } from "./system_calls.ts";

/** The memory budgets of streams. */
const BUDGETS = [64 << 20, 64 << 20, 512 << 10, 0];

export interface KernelOptions {
  /** Draws the file system, its files, the faults and all times. */
  readonly random: Random;
  readonly faulty: boolean;
  /** Performs each operation on the real kernel too. */
  readonly mirror: Mirror | undefined;
  /** Called for each broken rule for users of an engine. */
  readonly violated: (rule: string) => void;
  readonly trace: ((line: string) => void) | undefined;
}

export class SimulatedKernel implements Engine {
  readonly name = "io_uring";
  readonly endsWithProcess = true;
  readonly pageSize = 4096;
  readonly counters: Counters = new Counters();
  readonly budget: BufferBudget;
  readonly memory: SimulatedMemory = new SimulatedMemory();
  readonly tree: DirectoryTree = new DirectoryTree();
  readonly kind: FileSystemKind;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly descriptors: DescriptorTable;
  observer: FlightObserver | undefined;
  readonly #options: KernelOptions;
  readonly #calls: SystemCalls;
  readonly #judge: Judge;
  /** The typical time of an operation, in microseconds. */
  readonly #pace: number;
  readonly #random: Random;
  operations = 0;
  #isDisposed = false;

  constructor(options: KernelOptions) {
    const { random, faulty, mirror, violated, trace } = this.#options = options;
    this.kind = drawFileSystem(random, mirror !== undefined);
    this.clock = new Clock(random.fork());
    populate(this.tree, random);
    mirror?.begin(this.tree);
    const missing = [...this.kind.lacks].join(", ") || "nothing";
    trace?.(`file system: ${this.kind.name}, without ${missing}`);
    this.faults = new Faults(random.fork(), faulty);
    this.#random = random.fork();
    this.budget = new BufferBudget(random.pick(BUDGETS));
    const reuses = random.chance(0.5);
    const isShort = random.chance(0.1) && !mirror;
    this.descriptors = new DescriptorTable(reuses, isShort ? random.between(2, 10) : 1000);
    this.#calls = new SystemCalls(this.kind, this.tree, this.descriptors, this.#random.fork());
    this.#judge = new Judge(this.kind, this.memory, violated);
    this.#pace = this.#random.pick([1, 100, 100, 1000]);
  }

  /** Ends all operations, and rejects further ones. */
  dispose(): void {
    this.#isDisposed = true;
    this.clock.events.length = 0;
    const difference = this.#options.mirror?.end();
    if (difference) this.#options.violated(`at the end ${difference}`);
  }

  /** The description of a descriptor, which must be open. */
  description(fd: number): Description {
    const description = this.descriptors.get(fd);
    if (!description) this.#options.violated(`fd ${fd} is closed`);
    return description!;
  }

  submit(operation: Operation, completion: Completion): void {
    const random = this.#random;
    const flight = this.#launch(operation);
    if (!flight) return;
    const complete = () => this.#complete(flight, completion);
    if (operation.op === "pause") {
      flight.result = 0;
      return this.clock.after(operation.milliseconds * 1000, complete);
    }
    // Most operations take some microseconds, and a few take longer than all others together.
    const usual = 1 + random.next() * this.#pace;
    const time = random.chance(0.03) ? usual * random.pick([20, 1000]) : usual;
    this.clock.after(time * random.next(), () => this.#perform(flight, operation.op), false);
    this.clock.after(time, complete);
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
    while (this.counters.inFlight === inFlight) {
      if (this.clock.step() !== undefined) continue;
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
  #launch(operation: Operation): Flight | undefined {
    if (this.#isDisposed) this.#options.violated(`${describe(operation)}: the engine is disposed`);
    const flight = flightOf(operation, this.descriptors, this.tree);
    this.operations++;
    this.#trace(operation);
    const isTaken = this.#judge.submit(flight);
    this.counters.inFlight++;
    if (!isTaken) return undefined;
    this.observer?.submitted(flight);
    return flight;
  }

  /** Performs an operation, which may fail. The module does not know its result yet. */
  #perform(flight: Flight, target: FaultTarget): void {
    const { mirror, violated } = this.#options;
    const { faults } = this;
    const { operation } = flight;
    const lacksCache = target === "lookUpNow" && this.kind.lacks.has("cached lookup");
    const most = "length" in operation ? operation.length : 0;
    const fate = lacksCache
      ? { errno: Errno.EAGAIN, most: 0 }
      : target !== operation.op
      ? { errno: faults.ofCall(target), most }
      : this.#calls.readsMounts(flight)
      ? { errno: 0, most }
      : faults.of(operation.op, most);
    const result = flight.result = this.#calls.perform(flight, fate);
    // The limit of descriptors counts as a fault.
    if (result === -EMFILE && fate.errno === 0) {
      faults.happened.push({ target: "open", errno: EMFILE });
    }
    const difference = mirror?.perform(flight);
    if (difference) violated(`${describe(operation)}: ${difference}`);
    this.observer?.performed(flight);
  }

  #complete(flight: Flight, completion: Completion): void {
    const { operation, result } = flight;
    this.#judge.complete(flight);
    this.counters.inFlight--;
    this.counters.count(operation, result!);
    this.#trace(operation, `-> ${result}`);
    this.observer?.returned(flight);
    completion.complete(result!);
    this.observer?.completed();
  }

  #trace(operation: Operation, result?: string): void {
    const { trace } = this.#options;
    if (!trace) return;
    const event = result ? `  ${describe(operation)} ${result}` : describe(operation);
    trace(`${this.clock.now.toFixed(0)} µs  ${event}`);
  }

  deviceOf(fd: number): Device {
    this.description(fd);
    return { hasDisk: this.kind.deviceMajor > 0, isLocal: true };
  }

  identify(fd: number, path: string): string | undefined {
    if (this.kind.lacks.has("cached lookup") || this.faults.ofCall("lookUpNow")) return undefined;
    const from = fd < 0 ? this.tree.workingDirectory : this.description(fd).node;
    const node = path === "" ? from : this.tree.lookUp(path, from as SimulatedDirectory);
    return node?.isDirectory ? `${node.inode}` : undefined;
  }

  setFlags(fd: number, flags: number): number {
    const description = this.description(fd);
    const errno = this.faults.ofCall("setFlags") || (this.kind.hasDirectIo ? 0 : Errno.EINVAL);
    if (flags & O_DIRECT && errno) return -errno;
    description.flags = (description.flags & ~O_DIRECT) | (flags & O_DIRECT);
    return 0;
  }

  realPath(fd: number): string | undefined {
    const { node } = this.description(fd);
    if (this.kind.lacks.has("proc") || this.faults.ofCall("realPath")) return undefined;
    return this.tree.pathOf(node);
  }

  acquire(size: number): Memory {
    if (this.faults.ofCall("acquire")) {
      throw new RangeError(`Cannot map ${size} bytes for I/O buffers (os error 12)`);
    }
    return this.memory.acquire(size);
  }

  release(block: Memory): void {
    this.#judge.release(block);
  }
}

/** An operation that the kernel performs in memory, on the JavaScript thread, has faults of its own. */
function inMemory(operation: Operation): FaultTarget {
  const { op } = operation;
  const isLookUp = (op === "open" && operation.resolve & RESOLVE_CACHED) ||
    (op === "stat" && operation.name !== "");
  if (isLookUp) return "lookUpNow";
  if (op === "open" && operation.name === ".") return "openWorkingDirectory";
  return op === "stat" ? "statNow" : op === "close" ? "closeNow" : op;
}
