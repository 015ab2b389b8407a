// Virtual time: the pending events and their times.

import type { Random } from "../random.ts";

interface Event {
  readonly time: number;
  /** Orders events of the same moment at random. */
  readonly order: number;
  /** Whether the module or the program observes the event, so that microtasks must run after it. */
  readonly heard: boolean;
  readonly run: () => void;
}

/** Events in the order of their times, in microseconds: at most some dozens. */
export class Clock {
  /** Sorted in reverse: the last element is the next event. */
  readonly events: Event[] = [];
  /** Microseconds since the beginning. */
  now = 0;
  #ticks = 0;

  constructor(readonly random: Random) {}

  /** A number greater than all before, which orders the observations of the oracle. */
  tick(): number {
    return ++this.#ticks;
  }

  after(microseconds: number, run: () => void, heard = true): void {
    const [time, order] = [this.now + microseconds, this.random.next()];
    const next = this.events.findLastIndex((each) =>
      time < each.time || (time === each.time && order < each.order)
    );
    this.events.splice(next + 1, 0, { time, order, heard, run });
  }

  sleep(microseconds: number): Promise<void> {
    return new Promise((resolve) => this.after(microseconds, resolve));
  }

  /** Runs the next event. Returns whether it is observed; undefined if no event is pending. */
  step(): boolean | undefined {
    const next = this.events.pop();
    if (!next) return undefined;
    this.now = next.time;
    next.run();
    return next.heard;
  }
}
