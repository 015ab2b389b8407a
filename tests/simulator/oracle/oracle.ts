// The oracle observes every operation and every call, and checks the contract of the module.

import type { FaultTarget } from "../kernel/faults.ts";
import type { Flight, FlightObserver } from "../kernel/flight.ts";
import type { Kept, SimulatedFile } from "../kernel/simulated_file.ts";
import type { SimulatedKernel } from "../kernel/simulated_kernel.ts";
import type { Random } from "../random.ts";
import { ExpectedNames, isTemporary } from "./expected_names.ts";
import { violate } from "./promises.ts";
import { TrackedFile } from "./tracked_file.ts";
import type { WriterOracle } from "./writer_oracle.ts";

/** A stream or call that allocates memory for data. */
export interface MemoryUser {
  /** The maximum number of its bytes. */
  bound: number;
  /** Whether the maximum depends on the memory of others. */
  readonly shares?: boolean;
}

/** A power cut is checked after one of so many completions. */
const COMPLETIONS_PER_CUT = 30;

/** The memory of streams beyond the budget: each stream has at least one buffer. */
const BEYOND_BUDGET = 1 << 20;

/** The failures after which a hidden name cannot be removed (docs/durability.md). */
const KEEPS_NAMES = new Set<FaultTarget>(["unlink", "open", "stat", "statNow", "acquire"]);

export class Oracle implements FlightObserver {
  readonly names: ExpectedNames;
  readonly memoryUsers: Set<MemoryUser> = new Set();
  readonly #files = new Map<number, TrackedFile>();
  readonly #writers = new Map<Flight, WriterOracle>();
  /** Atomic files that may have a hidden name. */
  readonly hidden: Set<object> = new Set();
  /** Whether a writer or a file was dropped. Its resources must be released nevertheless. */
  hasDropped = false;
  cuts = 0;
  violation: Error | undefined;

  constructor(readonly world: SimulatedKernel, readonly random: Random) {
    world.observer = this;
    this.names = new ExpectedNames(world.tree);
    for (const inode of world.tree.listing().values()) this.track(world.tree.files.get(inode)!);
  }

  /** The tracked file. At the first call the whole file is content. */
  track(view: SimulatedFile): TrackedFile {
    let file = this.#files.get(view.inode);
    if (!file) this.#files.set(view.inode, file = new TrackedFile(view, this.world));
    return file;
  }

  /** Runs checks. Their errors are kept, because the module must not catch them. */
  guard(check: () => void): void {
    if (this.violation) return;
    try {
      check();
    } catch (error) {
      this.violation = error as Error;
    }
  }

  submitted(flight: Flight): void {
    this.guard(() => {
      const file = this.#fileOf(flight);
      file?.submitted(flight);
      if (file) this.#countFlight(flight, file);
    });
  }

  performed(flight: Flight): void {
    this.guard(() => {
      this.#fileOf(flight)?.performed(flight);
      if (["open", "link", "rename", "unlink"].includes(flight.operation.op)) this.checkNames();
    });
  }

  returned(flight: Flight): void {
    this.#fileOf(flight)?.returned(flight);
    this.#writers.delete(flight);
  }

  completed(): void {
    this.guard(() => {
      for (const each of this.#files.values()) for (const writer of each.writers) writer.poll();
      this.#checkMemory();
      if (this.random.below(COMPLETIONS_PER_CUT) === 0) this.cut("some");
    });
  }

  #fileOf({ file }: Flight): TrackedFile | undefined {
    return file && this.track(file);
  }

  /** "writer 3": the number of a writer's writes in flight. */
  #countFlight(flight: Flight, file: TrackedFile): void {
    const { operation } = flight;
    if (operation.op !== "write") return;
    const { position, length } = operation;
    if (file.isClaimed(position, position + length)) return;
    const end = position + length;
    const writers = [...file.writers].filter((each) => each.covers(position, end));
    // A writer covers a block on each side, where another one may write.
    const writer = writers.find((each) => each.start < end && position < each.givenEnd) ??
      writers[0];
    if (!writer) return;
    this.#writers.set(flight, writer);
    const inFlight = [...this.#writers.values()].filter((each) => each === writer).length;
    if (inFlight > writer.stream.writeBehind) violate("writer 3", `${inFlight} writes in flight`);
  }

  /** "writer 3": the memory of streams and calls. */
  #checkMemory(): void {
    const { budget, memory: { bytesForData } } = this.world;
    const users = [...this.memoryUsers];
    const own = users.reduce((sum, { bound, shares }) => sum + (shares ? 0 : bound), 0);
    const shared = users.some(({ shares }) => shares) ? budget.bytes + BEYOND_BUDGET : 0;
    if (bytesForData <= own + shared) return;
    violate("writer 3", `${bytesForData} bytes for data, allowed are ${own + shared}`);
  }

  checkNames(): void {
    // A hidden name stays if it could not be checked or removed.
    const left = this.world.faults.happened.filter(({ target }) => KEEPS_NAMES.has(target)).length;
    const most = this.hidden.size + left;
    const listing = this.world.tree.listing();
    this.names.check(listing, "now");
    const hidden = [...listing.keys()].filter(isTemporary);
    if (hidden.length <= most) return;
    violate("atomic", `${hidden.join(", ")}, where ${most} may be`);
  }

  /** Checks the result of a power cut at this moment. */
  cut(kept: Kept): void {
    const { random } = this;
    this.cuts++;
    this.names.check(this.world.tree.image(random, kept), "durable");
    for (const file of this.#files.values()) {
      const wrong = file.durable.wrong(file.view.image(random, kept));
      if (wrong) violate("writer 10", `after a power cut that keeps ${kept}, ${wrong}`);
    }
  }

  /** Checks the minimum, the maximum and a random part. */
  cutThrice(): void {
    for (const kept of ["nothing", "everything", "some"] as const) this.cut(kept);
  }

  finish(): void {
    const { memory: { blocks }, counters: { inFlight }, budget } = this.world;
    const descriptors = this.world.descriptors.size;
    const left = { descriptors, blocks, inFlight, budget: budget.held };
    for (const [what, count] of Object.entries(left)) {
      const promise = this.hasDropped ? "writer 8" : "nothing left";
      if (count !== 0) violate(promise, `${what}: ${count}`);
    }
    for (const file of this.#files.values()) {
      file.check("writer 11");
      file.checkLength("writer 5");
    }
    this.hidden.clear();
    this.checkNames();
    this.cutThrice();
  }
}
