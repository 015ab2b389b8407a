// The oracle: hears of every operation and of every call, and holds the module to its contract.

import type { FaultTarget } from "../kernel/faults.ts";
import type { FileView, Flight, FlightObserver } from "../kernel/flight.ts";
import type { Kept } from "../kernel/simulated_file.ts";
import type { Random } from "../random.ts";
import type { World } from "../world.ts";
import { ExpectedNames, type Place } from "./expected_names.ts";
import { Violation } from "./promises.ts";
import { type Surroundings, TrackedFile } from "./tracked_file.ts";
import type { WriterOracle } from "./writer_oracle.ts";

/** A stream or call that has memory for data. */
export interface MemoryUser {
  /** The most bytes that it may have. */
  bound: number;
  /** Whether that depends on what others have. */
  readonly shares?: boolean;
}

/** A power cut is tried after one of so many completions. */
const COMPLETIONS_PER_CUT = 20;

/** What streams that share memory may have beyond the budget: each has a buffer at least. */
const BEYOND_BUDGET = 1 << 20;

/** What fails where a name cannot be removed that was made. */
const KEEPS_NAMES: ReadonlySet<FaultTarget> = new Set(["unlink", "open", "statNow", "acquire"]);

/** Holds the module to its contract while one program runs. */
export class Oracle implements FlightObserver, Surroundings {
  readonly names: ExpectedNames;
  readonly memoryUsers: Set<MemoryUser> = new Set();
  readonly #files = new Map<number, TrackedFile>();
  readonly #writers = new Map<Flight, WriterOracle>();
  readonly #random: Random;
  #time = 0;
  /** Atomic files that are open and may have a hidden name. */
  temporaries = 0;
  /** Names at which an open is emptying a file, and what stood there since. */
  readonly emptied: Set<{ readonly place: Place; readonly seen: Set<number | undefined> }> =
    new Set();
  /** A writer or a file was dropped: what it had must be given back all the same. */
  hasDropped = false;
  /** Power cuts that were tried. */
  cuts = 0;
  /** The first promise that was not kept. */
  violation: Error | undefined;

  constructor(readonly world: World, random: Random) {
    this.#random = random;
    world.kernel.observer = this;
    this.names = new ExpectedNames(world.listing());
    for (const inode of world.listing().values()) this.track(world.fileOf(inode)!);
  }

  /** Moments, one for each event: later ones are greater. */
  now(): number {
    return ++this.#time;
  }

  /** Whether the kernel did not tell a size when it was asked. */
  get cutsBlindly(): boolean {
    return this.world.faults.hit("statNow", "acquire");
  }

  /** Whether an open is about to empty a file. */
  isEmptied({ inode }: FileView): boolean {
    return [...this.emptied].some(({ seen }) => seen.has(inode));
  }

  /** What is known of a file. The first time everything in it is its content. */
  track(view: FileView): TrackedFile {
    let file = this.#files.get(view.inode);
    if (!file) {
      file = new TrackedFile(view, this);
      this.#files.set(view.inode, file);
    }
    return file;
  }

  /** Runs checks. What they throw is kept: the module must not catch it. */
  guard(check: () => void): void {
    if (this.violation) return;
    try {
      check();
    } catch (error) {
      this.violation = error as Error;
    }
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  submitted(flight: Flight): void {
    this.guard(() => {
      const file = this.#fileOf(flight);
      if (!file) return;
      file.submitted(flight);
      if (flight.operation.op === "write") this.#countFlight(flight, file);
    });
  }

  performed(flight: Flight): void {
    this.guard(() => {
      this.#fileOf(flight)?.performed(flight);
      const { op } = flight.operation;
      for (const { place, seen } of this.emptied) seen.add(this.world.listing().get(place));
      const isOfNames = op === "open" || op === "link" || op === "rename" || op === "unlink";
      if (isOfNames) this.checkNames();
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
      if (this.#random.below(COMPLETIONS_PER_CUT) === 0) this.cut("some");
    });
  }

  #fileOf({ file, target }: Flight): TrackedFile | undefined {
    const view = target ?? file;
    return view && this.track(view);
  }

  /** "writer 3": how many writes of a writer are in flight. */
  #countFlight(flight: Flight, file: TrackedFile): void {
    const { operation } = flight;
    if (operation.op !== "write") return;
    const { position, length } = operation;
    if (file.isClaimed(position, position + length)) return;
    const writer = [...file.writers].find((each) => each.covers(position, position + length));
    if (!writer) return;
    this.#writers.set(flight, writer);
    const inFlight = [...this.#writers.values()].filter((each) => each === writer).length;
    if (inFlight > writer.stream.writeBehind) {
      throw new Violation("writer 3", `${inFlight} writes in flight`);
    }
  }

  /** "writer 3": how much memory streams and calls have. */
  #checkMemory(): void {
    const { budget, memory: { bytesForData } } = this.world.kernel;
    const users = [...this.memoryUsers];
    const own = users.reduce((sum, { bound, shares }) => sum + (shares ? 0 : bound), 0);
    const shared = users.some(({ shares }) => shares) ? budget.bytes + BEYOND_BUDGET : 0;
    if (bytesForData <= own + shared) return;
    throw new Violation("writer 3", `${bytesForData} bytes for data, allowed are ${own + shared}`);
  }

  checkNames(): void {
    // Where a hidden name could not be looked at, or not be removed, it stays.
    const left = this.world.faults.happened.filter(({ target }) => KEEPS_NAMES.has(target)).length;
    this.names.check(this.world.listing(), this.temporaries + left);
  }

  // ---- power cuts -------------------------------------------------------------------------------------------------

  /** Looks at what a power cut would leave now. */
  cut(kept: Kept): void {
    const image = this.world.cut(kept);
    if (!image) return;
    this.cuts++;
    this.names.checkDurable(image.names);
    for (const file of this.#files.values()) {
      const left = image.file(file.view.inode);
      const wrong = left && file.durable.wrong(left);
      if (wrong) throw new Violation("writer 10", `after a power cut that keeps ${kept}, ${wrong}`);
    }
  }

  /** Looks at the least, the most and something between. */
  cutThrice(): void {
    for (const kept of ["nothing", "everything", "some"] as const) this.cut(kept);
  }

  // ---- the end ----------------------------------------------------------------------------------------------------

  /** Everything is closed: nothing may be left, and everything must be right. */
  finish(): void {
    const { kernel: { memory: { blocks }, counters: { inFlight }, budget } } = this.world;
    const descriptors = this.world.countDescriptors();
    const left = { descriptors, blocks, inFlight, budget: budget.held };
    for (const [what, count] of Object.entries(left)) {
      const promise = this.hasDropped ? "writer 8" : "nothing left";
      if (count !== 0) throw new Violation(promise, `${what}: ${count}`);
    }
    for (const file of this.#files.values()) {
      file.check("writer 11");
      file.checkLength("writer 5");
    }
    this.temporaries = 0;
    this.checkNames();
    this.cutThrice();
  }
}
