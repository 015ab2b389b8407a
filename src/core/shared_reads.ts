// Reads of a file that does not change any more: what several ask for at once is read once.

import type { Handle } from "./handle.ts";
import { readRange } from "./random_access.ts";

/** One read in flight. */
interface Flight {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array<ArrayBuffer>>;
}

/** The reads in flight of one sealed file. */
export class SharedReads {
  readonly #flights = new Set<Flight>();

  /** As {@linkcode readRange}. The result is the caller's own, whoever else reads the same. */
  async read(handle: Handle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const end = position + length;
    const parts: { from: number; to: number; flight: Flight }[] = [];
    for (let at = position; at < end;) {
      const flight = this.#covering(at) ?? this.#begin(handle, at, this.#nextStart(at, end));
      const to = Math.min(flight.end, end);
      parts.push({ from: at, to, flight });
      at = to;
    }
    const result = new Uint8Array(length);
    let filled = 0;
    for (const { from, to, flight } of parts) {
      const bytes = await flight.bytes;
      const part = bytes.subarray(from - flight.start, to - flight.start);
      result.set(part, filled);
      filled += part.length;
      if (part.length < to - from) break;
    }
    return result.subarray(0, filled);
  }

  #covering(position: number): Flight | undefined {
    for (const flight of this.#flights) {
      if (flight.start <= position && position < flight.end) return flight;
    }
    return undefined;
  }

  #nextStart(position: number, end: number): number {
    let next = end;
    for (const { start } of this.#flights) if (start > position) next = Math.min(next, start);
    return next;
  }

  #begin(handle: Handle, from: number, to: number): Flight {
    // Whole blocks are read anyway: others may want the rest of them.
    const { alignment } = handle;
    const start = from - from % alignment;
    const end = Math.ceil(to / alignment) * alignment;
    const bytes = readRange(handle, start, end - start);
    const flight = { start, end, bytes };
    this.#flights.add(flight);
    const over = () => this.#flights.delete(flight);
    bytes.then(over, over);
    return flight;
  }
}
