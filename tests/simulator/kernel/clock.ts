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

/** Events in the order of their times, in microseconds. A binary heap. */
export class Clock {
  readonly #heap: Event[] = [];
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
    return this.#heap.length;
  }

  /** Has `run` called after so many microseconds. */
  after(microseconds: number, run: () => void, heard = true): void {
    const event = { time: this.#now + microseconds, order: this.#random.next(), heard, run };
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Resolves after so many microseconds. */
  sleep(microseconds: number): Promise<void> {
    return new Promise((resolve) => this.after(microseconds, resolve));
  }

  /** Runs the next event. Returns whether anybody hears of it; undefined where nothing is due any more. */
  step(): boolean | undefined {
    const next = this.#take();
    if (!next) return undefined;
    this.#now = next.time;
    next.run();
    return next.heard;
  }

  #take(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  /** Forgets everything that is due: the machine is off. */
  stop(): void {
    this.#heap.length = 0;
  }
}
