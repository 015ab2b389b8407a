// Reads of a file that does not change any more: what several ask for at once is read once.

import type { Handle } from "./handle.ts";
import { readRange } from "./random_access.ts";

/** One read in flight, of whole blocks. */
interface Flight {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array<ArrayBuffer>>;
  /** Who waits for it. */
  readers: number;
}

/** A part of what a reader wants, and where it comes from. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly flight: Flight;
  /** Somebody else began it. */
  readonly joined: boolean;
}

/** As {@linkcode readRange}, and of a sealed file together with whoever reads the same now. */
export function readBytes(
  handle: Handle,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  return handle.sharedReads?.read(handle, position, length) ?? readRange(handle, position, length);
}

/** The reads in flight of one sealed file. */
export class SharedReads {
  readonly #flights = new Set<Flight>();

  /** As {@linkcode readRange}. The result is the caller's own, whoever else reads the same. */
  async read(handle: Handle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const parts = this.#plan(handle, position, position + length);
    const read: Uint8Array<ArrayBuffer>[] = [];
    let filled = 0;
    for (const part of parts) {
      const bytes = await this.#take(handle, part);
      read.push(bytes);
      filled += bytes.length;
      if (bytes.length < part.to - part.from) break;
    }
    // Memory that nobody else has is given out as it is.
    if (read.length === 1 && parts[0]!.flight.readers === 1) return read[0]!;
    const result = new Uint8Array(filled);
    let at = 0;
    for (const bytes of read) {
      result.set(bytes, at);
      at += bytes.length;
    }
    return result;
  }

  #plan(handle: Handle, position: number, end: number): Part[] {
    const parts: Part[] = [];
    for (let from = position; from < end;) {
      const covering = this.#covering(from);
      const flight = covering ?? this.#begin(handle, from, this.#nextStart(from, end));
      const to = Math.min(flight.end, end);
      flight.readers++;
      parts.push({ from, to, flight, joined: covering !== undefined });
      from = to;
    }
    return parts;
  }

  async #take(handle: Handle, part: Part): Promise<Uint8Array<ArrayBuffer>> {
    const { from, to, flight, joined } = part;
    try {
      return (await flight.bytes).subarray(from - flight.start, to - flight.start);
    } catch (error) {
      if (!joined) throw error;
      // It may have failed for bytes that are not wanted here.
      return await readRange(handle, from, to - from);
    }
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
    const flight = { start, end, bytes, readers: 0 };
    this.#flights.add(flight);
    const over = () => this.#flights.delete(flight);
    bytes.then(over, over);
    return flight;
  }
}
