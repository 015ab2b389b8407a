// A kernel in memory, whose operations fail as drawn.

import { Errno, O_DIRECT } from "../../../src/engine/linux.ts";
import type { Block, Operation } from "../../../src/engine/operation.ts";
import type { Random } from "../random.ts";
import { type Description, type DescriptorTable, EMFILE } from "./descriptors.ts";
import type { Faults, FaultTarget } from "./faults.ts";
import type { FileSystemKind } from "./file_systems.ts";
import type { Flight, SyncPoint } from "./flight.ts";
import type { Machine } from "./kernel.ts";
import { SimulatedMemory } from "./memory.ts";
import { type Mount, SystemCalls } from "./system_calls.ts";

export class SimulatedMachine implements Machine {
  readonly memory: SimulatedMemory = new SimulatedMemory();
  readonly alignment: FileSystemKind;
  readonly #mount: Mount;
  readonly #descriptors: DescriptorTable;
  readonly #faults: Faults;
  readonly #calls: SystemCalls;

  constructor(mount: Mount, descriptors: DescriptorTable, faults: Faults, random: Random) {
    this.alignment = mount.kind;
    this.#mount = mount;
    this.#descriptors = descriptors;
    this.#faults = faults;
    this.#calls = new SystemCalls(mount, descriptors, random);
  }

  find(fd: number): Description | undefined {
    return this.#descriptors.get(fd);
  }

  syncPoint(description: Description | undefined): SyncPoint {
    return { changes: description?.file?.changes ?? 0, journaled: this.#mount.tree.journaled };
  }

  perform(flight: Flight<Description>, now: boolean): number {
    const { operation } = flight;
    const target = targetOf(operation, now);
    if (target === "openDirectoryNow" && this.#mount.kind.lacks.has("cached lookup")) {
      return -Errno.EAGAIN;
    }
    const length = "length" in operation ? operation.length : 0;
    const fate = target !== operation.op
      ? { errno: this.#faults.ofCall(target), most: length }
      : this.#calls.readsMounts(flight)
      ? { errno: 0, most: length }
      : this.#faults.of(operation.op, length);
    const result = this.#calls.perform(flight, fate);
    // The limit of descriptors counts as a fault.
    if (result === -EMFILE && fate.errno === 0) {
      this.#faults.note({ target: "open", errno: EMFILE });
    }
    return result;
  }

  setThreaded(): void {}

  isLocal(): boolean {
    return true;
  }

  setFlags(fd: number, flags: number): number {
    const errno = this.#faults.ofCall("setFlags") ||
      (this.#mount.kind.hasDirectIo ? 0 : Errno.EINVAL);
    return flags & O_DIRECT && errno ? -errno : this.#descriptors.setFlags(fd, flags);
  }

  realPath(fd: number): string | undefined {
    const { kind, tree } = this.#mount;
    if (kind.lacks.has("proc") || this.#faults.ofCall("realPath")) return undefined;
    return tree.pathOf(this.find(fd)!.node);
  }

  acquire(size: number): Block {
    if (this.#faults.ofCall("acquire")) {
      throw new RangeError(`Cannot map ${size} bytes for I/O buffers (os error 12)`);
    }
    return this.memory.acquire(size);
  }

  dispose(): void {}
}

/** An operation that the kernel performs in memory, on the JavaScript thread, fails for other reasons. */
function targetOf(operation: Operation, now: boolean): FaultTarget {
  const { op } = operation;
  if (!now) return op;
  if (op === "open" && operation.cached) return "openDirectoryNow";
  if (op === "open" && operation.name === ".") return "openWorkingDirectory";
  return op === "stat" ? "statNow" : op === "close" ? "closeNow" : op;
}
