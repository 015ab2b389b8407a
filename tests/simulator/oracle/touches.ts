// The time, the range and the author of each change to a file.

export interface Touch {
  readonly time: number;
  readonly byWriter: boolean;
  readonly from: number;
  readonly to: number;
}

export class Touches {
  readonly all: Touch[] = [];
  readonly #clock: { now(): number };
  #resized = 0;
  #pastWriters = 0;
  #unsynced: Touch[] = [];
  /** The beginning of the last successful sync. */
  synced = 0;

  /** `clock` returns a later moment each time. */
  constructor(clock: { now(): number }) {
    this.#clock = clock;
  }

  /** Records a change of a range. */
  add(from: number, to: number, byWriter: boolean): void {
    this.all.push({ time: this.#clock.now(), byWriter, from, to });
  }

  /** Records a possible change of the size. */
  resize(): void {
    this.#resized = this.#clock.now();
  }

  /** Records a change by a call that is not a writer's. */
  addPastWriters(from: number, to: number): void {
    this.add(from, to, false);
    this.resize();
    this.#pastWriters = this.#clock.now();
    this.#unsynced.push(this.all.at(-1)!);
  }

  /** Records a successful sync that began at that moment. */
  sync(began: number): void {
    this.#unsynced = this.#unsynced.filter(({ time }) => time > began);
    this.synced = Math.max(this.synced, began);
  }

  /** Notes that a writer begins. It does not sync what earlier writers have left unsynced. */
  beginWriter(): void {
    this.#unsynced = this.all.filter(({ time }) => time > this.synced);
  }

  /** Whether there are changes by other calls than writers' that no sync has covered. */
  get unsyncedPastWriters(): readonly Touch[] {
    return this.#unsynced;
  }

  /** Whether only writers have changed the file since a moment. */
  areWritersSince(time: number): boolean {
    return this.#pastWriters < time;
  }

  /** Whether a range was changed since a moment. */
  overlap(from: number, to: number, since: number): boolean {
    return this.all.some((touch) => touch.time >= since && touch.from < to && from < touch.to);
  }

  isSizeStable(since: number): boolean {
    return this.#resized < since;
  }
}
