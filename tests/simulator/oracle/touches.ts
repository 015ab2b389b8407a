// When a file was changed, where, and by whom.

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

  /** `clock` gives later moments each time. */
  constructor(clock: { now(): number }) {
    this.#clock = clock;
  }

  /** A range changes now. */
  add(from: number, to: number, byWriter: boolean): void {
    this.all.push({ time: this.#clock.now(), byWriter, from, to });
  }

  /** The size changes, or may. */
  resize(): void {
    this.#resized = this.#clock.now();
  }

  /** Somebody but a writer changes a range, and perhaps the size. */
  addPastWriters(from: number, to: number): void {
    this.add(from, to, false);
    this.resize();
    this.#pastWriters = this.#clock.now();
    this.#unsynced.push(this.all.at(-1)!);
  }

  /** A sync has succeeded that began then. */
  sync(began: number): void {
    this.#unsynced = this.#unsynced.filter(({ time }) => time > began);
  }

  /** What others than writers did that no sync has covered: whoever did nothing since has nothing to sync. */
  get unsyncedPastWriters(): readonly Touch[] {
    return this.#unsynced;
  }

  /** Whether only writers were at work since a moment. */
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
