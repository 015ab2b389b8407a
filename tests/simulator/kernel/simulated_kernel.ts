// A kernel in memory: the module's engine under simulation. It performs operations at any time after they were submitted,
// and says so at any time after that.

import { BufferBudget } from "../../../src/engine/buffer_budget.ts";
import { countResult, type EngineCounters, newCounters } from "../../../src/engine/counters.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { Errno, O_DIRECT, O_DIRECTORY, O_PATH } from "../../../src/engine/linux.ts";
import type { Block, Completion, Memory, Operation } from "../../../src/engine/operation.ts";
import type { Random } from "../random.ts";
import type { Clock } from "./clock.ts";
import { type Description, DescriptorTable } from "./descriptors.ts";
import type { DirectoryTree } from "./directory_tree.ts";
import type { Faults } from "./faults.ts";
import type { FileSystemKind } from "./file_systems.ts";
import { describe, type FileView, type Flight, type FlightObserver } from "./flight.ts";
import { descriptorsOf, Judge } from "./judge.ts";
import { SimulatedMemory } from "./memory.ts";
import { type PerformedFlight, SystemCalls } from "./system_calls.ts";

/** What a simulated kernel is made of. */
export interface KernelOptions {
  readonly kind: FileSystemKind;
  readonly tree: DirectoryTree;
  readonly clock: Clock;
  readonly faults: Faults;
  readonly random: Random;
  /** Bytes that streams share. */
  readonly bufferBudget: number;
  readonly reusesDescriptors: boolean;
  /** Descriptors that may be open at once. */
  readonly descriptorLimit: number;
  /** Identifies the mount, also among those of other kernels. */
  readonly mountId: bigint;
  readonly observer: FlightObserver;
  /** Told what the module did that no user of an engine may do. */
  readonly violated: (rule: string) => void;
  /** Told of every event, for a trace. */
  readonly trace?: ((line: string) => void) | undefined;
}

interface SimulatedFlight extends Flight, PerformedFlight {}

/** Implements {@linkcode Engine} over files in memory. */
export class SimulatedKernel implements Engine {
  readonly name = "scripted";
  readonly endsWithProcess = true;
  readonly counters: EngineCounters = newCounters();
  readonly budget: BufferBudget;
  readonly memory: SimulatedMemory = new SimulatedMemory();
  readonly descriptors: DescriptorTable;
  readonly #options: KernelOptions;
  readonly #judge: Judge;
  readonly #calls: SystemCalls;
  /** The typical time of an operation, in microseconds. */
  readonly #pace: number;
  #operations = 0;
  #disposed = false;

  constructor(options: KernelOptions) {
    this.#options = options;
    const { kind, tree, random, reusesDescriptors, descriptorLimit, mountId } = options;
    this.budget = new BufferBudget(options.bufferBudget);
    this.descriptors = new DescriptorTable(reusesDescriptors, descriptorLimit);
    this.#judge = new Judge(kind, this.memory);
    this.#calls = new SystemCalls(kind, tree, this.descriptors, mountId, random.fork());
    this.#pace = random.pick([1, 100, 100, 1000]);
  }

  /** Operations that were submitted. */
  get operations(): number {
    return this.#operations;
  }

  /** From now on nothing may reach the kernel. */
  dispose(): void {
    this.#disposed = true;
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  submit(operation: Operation, completion: Completion): void {
    const { clock, random } = this.#options;
    const flight = this.#launch(operation, completion);
    if (!flight) return;
    if (operation.op === "pause") {
      clock.after(operation.milliseconds * 1000, () => this.#complete(flight, 0));
      return;
    }
    const time = this.#duration();
    clock.after(time * random.next(), () => this.#perform(flight), false);
    clock.after(time, () => this.#complete(flight, flight.result!));
  }

  /** Hands an operation to the kernel; undefined where it may not have it. */
  #launch(operation: Operation, completion: Completion): SimulatedFlight | undefined {
    const { observer, violated, trace, clock, tree } = this.#options;
    if (this.#disposed) violated(`${describe(operation)}: the engine is disposed`);
    const descriptions = descriptorsOf(operation).map((fd) => this.descriptors.get(fd));
    const [file, target] = descriptions.map((each) => asFile(each));
    const { changes = 0 } = file ?? {};
    const flight: SimulatedFlight = {
      number: ++this.#operations,
      operation,
      completion,
      descriptions,
      file,
      target: operation.op === "copyRange" ? target : undefined,
      bytes: operation.op === "write"
        ? operation.memory.bytes.slice(operation.offset, operation.offset + operation.length)
        : undefined,
      syncPoint: { changes, journaled: tree.journaled },
      result: undefined,
    };
    trace?.(`${clock.now.toFixed(0)} µs  #${flight.number} ${describe(operation)}`);
    const broken = this.#judge.submit(flight);
    this.counters.inFlight++;
    if (broken !== undefined) {
      violated(broken);
      return undefined;
    }
    observer.submitted(flight);
    return flight;
  }

  waitNow(): boolean {
    const { inFlight } = this.counters;
    const { clock, violated } = this.#options;
    while (this.counters.inFlight === inFlight) {
      if (clock.step() !== undefined) continue;
      if (inFlight === 0) return false;
      // After an operation that the kernel did not take: the program is over.
      violated("somebody waits for an operation that never ends");
      throw new Error("The simulation is over");
    }
    return true;
  }

  runNow(operation: Operation): number {
    const flight = this.#launch(operation, { complete: () => {} });
    if (!flight) return -Errno.EBADF;
    this.#perform(flight);
    this.#complete(flight, flight.result!);
    return flight.result!;
  }

  /** Most operations take some microseconds, some far longer than all others together. */
  #duration(): number {
    const { random } = this.#options;
    const usual = 1 + random.next() * this.#pace;
    return random.chance(0.03) ? usual * random.pick([20, 1000]) : usual;
  }

  #perform(flight: SimulatedFlight): void {
    const { faults, observer } = this.#options;
    const { operation } = flight;
    const length = "length" in operation ? operation.length : 0;
    flight.result = this.#noted(this.#calls.perform(flight, faults.of(operation.op, length)));
    observer.performed(flight);
  }

  /** The limit of descriptors is a fault like any other. */
  #noted(result: number): number {
    if (result === -EMFILE) this.#options.faults.note({ target: "open", errno: EMFILE });
    return result;
  }

  #complete(flight: SimulatedFlight, result: number): void {
    const { observer, violated, trace, clock } = this.#options;
    const { operation, completion } = flight;
    flight.result = result;
    const broken = this.#judge.complete(flight);
    if (broken !== undefined) violated(broken);
    this.counters.inFlight--;
    countResult(this.counters, operation, result);
    trace?.(`${clock.now.toFixed(0)} µs    #${flight.number} -> ${result}`);
    observer.returned(flight);
    completion.complete(result);
    observer.completed();
  }

  flush(): void {
    this.counters.submissions++;
  }

  // ---- calls that do not block ------------------------------------------------------------------------------------

  statNow(fd: number, memory: Memory): number {
    const description = this.#standing(fd, "statNow");
    if (!description) return -Errno.EBADF;
    const errno = this.#options.faults.ofCall("statNow");
    if (errno) this.#note(`stat fd ${fd} at once -> ${-errno}`);
    if (errno) return -errno;
    this.#calls.stat(description.node, memory.bytes);
    return 0;
  }

  openDirectoryNow(path: string): number {
    const { kind, tree, faults } = this.#options;
    if (kind.lacks.has("cached lookup")) return -Errno.EAGAIN;
    const errno = faults.ofCall("openDirectoryNow");
    if (errno) return -errno;
    const node = tree.lookUp(tree.workingDirectory, path);
    if (typeof node === "number") return node;
    if (!node.isDirectory) return -ENOTDIR;
    const fd = this.#noted(this.descriptors.open(node, O_PATH | O_DIRECTORY));
    this.#note(`open directory '${path}' at once -> ${fd}`);
    return fd;
  }

  openWorkingDirectory(): number {
    const { tree, faults } = this.#options;
    const errno = faults.ofCall("openWorkingDirectory");
    if (errno) return -errno;
    return this.#noted(this.descriptors.open(tree.workingDirectory, O_PATH | O_DIRECTORY));
  }

  setThreaded(fd: number): void {
    this.#standing(fd, "setThreaded");
  }

  setFlags(fd: number, flags: number): number {
    const { kind, faults } = this.#options;
    this.#standing(fd, "setFlags");
    const errno = faults.ofCall("setFlags") || (kind.hasDirectIo ? 0 : Errno.EINVAL);
    return flags & O_DIRECT && errno ? -errno : this.descriptors.setFlags(fd, flags);
  }

  realPath(fd: number): string | undefined {
    const { kind, tree, faults } = this.#options;
    const description = this.#standing(fd, "realPath");
    if (!description || kind.lacks.has("proc") || faults.ofCall("realPath")) return undefined;
    return tree.pathOf(description.node);
  }

  closeNow(fd: number): void {
    const { violated } = this.#options;
    this.#note(`close fd ${fd} at once`);
    const description = this.#standing(fd, "closeNow");
    const broken = description && this.#judge.closeNow(description);
    if (broken !== undefined) violated(broken);
    this.descriptors.close(fd);
  }

  #note(call: string): void {
    const { trace, clock } = this.#options;
    trace?.(`${clock.now.toFixed(0)} µs  ${call}`);
  }

  #standing(fd: number, call: string): Description | undefined {
    const description = this.descriptors.get(fd);
    if (!description) this.#options.violated(`${call}: fd ${fd} is closed`);
    return description;
  }

  // ---- memory -----------------------------------------------------------------------------------------------------

  acquire(size: number): Block {
    if (this.#options.faults.ofCall("acquire")) {
      throw new RangeError(`Cannot map ${size} bytes for I/O buffers (os error 12)`);
    }
    return this.memory.acquire(size);
  }

  release(block: Block): void {
    const { violated } = this.#options;
    const broken = this.#judge.release(block);
    if (broken !== undefined) violated(broken);
    if (!this.memory.release(block)) violated(`${block.size} bytes are given back twice`);
  }
}

const ENOTDIR = 20;
const EMFILE = 24;

function asFile(description: Description | undefined) {
  const node = description?.node;
  return node?.isDirectory ? undefined : node;
}

export type { FileView };
