// The time, the range and the author of each change to a file.

import type { Clock } from "../kernel/clock.ts";

export interface Touch {
  readonly time: number;
  readonly from: number;
  readonly to: number;
  readonly byWriter: boolean;
  /** Whether a call other than a writer's has ended with this change. */
  readonly pastWriters: boolean;
}

export class Touches {
  readonly all: Touch[] = [];
  #resized = 0;
  /** The beginnings of the last writer, and of the last successful sync. */
  begun = 0;
  synced = 0;

  constructor(readonly clock: Clock) {}

  add(from: number, to: number, byWriter: boolean, pastWriters = false): void {
    this.all.push({ time: this.clock.tick(), from, to, byWriter, pastWriters });
  }

  resize(): void {
    this.#resized = this.clock.tick();
  }

  addPastWriters(from: number, to: number): void {
    this.add(from, to, false, true);
    this.resize();
  }

  /** The changes that no sync has covered, and that the writer does not sync: those of others, and those before it. */
  get unsyncedPastWriters(): readonly Touch[] {
    return this.all.filter(({ time, pastWriters }) =>
      time > this.synced && (pastWriters || time < this.begun)
    );
  }

  /** Whether only writers have changed the file since a moment. */
  areWritersSince(since: number): boolean {
    return !this.all.some(({ time, pastWriters }) => pastWriters && time >= since);
  }

  overlap(from: number, to: number, since: number): boolean {
    return this.all.some((touch) => touch.time >= since && touch.from < to && from < touch.to);
  }

  isSizeStable(since: number): boolean {
    return this.#resized < since;
  }
}
