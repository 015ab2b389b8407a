// Virtual time: what is due, and when.

import type { Random } from "../random.ts";

interface Event {
  readonly time: number;
  /** Events of one moment come in any order. */
  readonly order: number;
  /** Whether the module or the program hears of it, so that microtasks must run after it. */
  readonly heard: boolean;
  readonly run: () => void;
}

function isBefore(one: Event, other: Event): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}

/** Events in the order of their times, in microseconds. There are some dozens at once at most. */
export class Clock {
  /** The next one is the last. */
  readonly #events: Event[] = [];
  readonly #random: Random;
  #now = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Microseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  /** Events that are due some time. */
  get waiting(): number {
    return this.#events.length;
  }

  /** Has `run` called after so many microseconds. */
  after(microseconds: number, run: () => void, heard = true): void {
    const event = { time: this.#now + microseconds, order: this.#random.next(), heard, run };
    const at = this.#events.findLastIndex((other) => isBefore(event, other));
    this.#events.splice(at + 1, 0, event);
  }

  /** Resolves after so many microseconds. */
  sleep(microseconds: number): Promise<void> {
    return new Promise((resolve) => this.after(microseconds, resolve));
  }

  /** Runs the next event. Returns whether anybody hears of it; undefined where nothing is due any more. */
  step(): boolean | undefined {
    const next = this.#events.pop();
    if (!next) return undefined;
    this.#now = next.time;
    next.run();
    return next.heard;
  }

  /** Forgets everything that is due: the machine is off. */
  stop(): void {
    this.#events.length = 0;
  }
}
