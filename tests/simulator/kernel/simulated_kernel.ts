// A kernel in memory: the engine of the module under simulation.

import { Errno, O_DIRECT } from "../../../src/engine/linux.ts";
import type { Block } from "../../../src/engine/operation.ts";
import { type Description, DescriptorTable, EMFILE } from "./descriptors.ts";
import type { Faults } from "./faults.ts";
import type { Flight } from "./flight.ts";
import { SimulatedMemory } from "./memory.ts";
import type { SimulatedFile } from "./simulated_file.ts";
import { type Machine, SystemCalls } from "./system_calls.ts";
import {
  type Opening,
  type Stating,
  TimedKernel,
  type TimedKernelOptions,
} from "./timed_kernel.ts";

export interface KernelOptions extends TimedKernelOptions, Machine {
  readonly faults: Faults;
  readonly reusesDescriptors: boolean;
  /** The limit of open descriptors. */
  readonly descriptorLimit: number;
}

type SimulatedFlight = Flight<Description>;

/** A kernel over files in memory. */
export class SimulatedKernel extends TimedKernel<Description> {
  readonly descriptors: DescriptorTable;
  readonly #options: KernelOptions;
  readonly #calls: SystemCalls;

  constructor(options: KernelOptions) {
    const { kind, random, reusesDescriptors, descriptorLimit } = options;
    const calls = random.fork();
    super(options, kind, new SimulatedMemory());
    this.#options = options;
    this.descriptors = new DescriptorTable(reusesDescriptors, descriptorLimit);
    this.#calls = new SystemCalls(options, this.descriptors, calls);
  }

  protected lookUp(fd: number): Description | undefined {
    return this.descriptors.get(fd);
  }

  protected fileOf(description: Description | undefined): SimulatedFile | undefined {
    const node = description?.node;
    return node?.isDirectory ? undefined : node;
  }

  protected launched(flight: SimulatedFlight): void {
    const { changes = 0 } = this.fileOf(flight.descriptions[0]) ?? {};
    flight.syncPoint = { changes, journaled: this.#options.tree.journaled };
  }

  protected perform(flight: SimulatedFlight): void {
    const { operation } = flight;
    const length = "length" in operation ? operation.length : 0;
    const fate = this.#calls.readsMounts(flight)
      ? { errno: 0, most: length }
      : this.#options.faults.of(operation.op, length);
    this.performed(flight, this.#noted(this.#calls.perform(flight, fate)));
  }

  /** The limit of descriptors counts as a fault. */
  #noted(result: number): number {
    if (result === -EMFILE) this.#options.faults.note({ target: "open", errno: EMFILE });
    return result;
  }

  // ---- calls that do not block ------------------------------------------------------------------------------------

  protected statNow({ fd, memory }: Stating): number {
    const description = this.standing(fd, "statNow");
    if (!description) return -Errno.EBADF;
    const errno = this.#options.faults.ofCall("statNow");
    if (errno) this.note(`stat fd ${fd} at once -> ${-errno}`);
    else this.#calls.stat(description.node, memory.bytes);
    return -errno;
  }

  protected openNow({ name, flags, cached }: Opening): number {
    const { kind, tree, faults } = this.#options;
    if (cached && kind.lacks.has("cached lookup")) return -Errno.EAGAIN;
    const errno = faults.ofCall(cached ? "openDirectoryNow" : "openWorkingDirectory");
    if (errno) return -errno;
    const node = tree.lookUp(tree.workingDirectory, name);
    const fd = node ? this.#noted(this.descriptors.open(node, flags)) : -Errno.ENOENT;
    this.note(`open directory '${name}' at once -> ${fd}`);
    return fd;
  }

  isLocal(fd: number): boolean {
    this.standing(fd, "isLocal");
    return true;
  }

  setThreaded(fd: number): void {
    this.standing(fd, "setThreaded");
  }

  setFlags(fd: number, flags: number): number {
    const { kind, faults } = this.#options;
    this.standing(fd, "setFlags");
    const errno = faults.ofCall("setFlags") || (kind.hasDirectIo ? 0 : Errno.EINVAL);
    return flags & O_DIRECT && errno ? -errno : this.descriptors.setFlags(fd, flags);
  }

  realPath(fd: number): string | undefined {
    const { kind, tree, faults } = this.#options;
    const description = this.standing(fd, "realPath");
    if (!description || kind.lacks.has("proc") || faults.ofCall("realPath")) return undefined;
    return tree.pathOf(description.node);
  }

  protected forget(fd: number): void {
    this.descriptors.close(fd);
  }

  override acquire(size: number): Block {
    if (this.#options.faults.ofCall("acquire")) {
      throw new RangeError(`Cannot map ${size} bytes for I/O buffers (os error 12)`);
    }
    return super.acquire(size);
  }
}
