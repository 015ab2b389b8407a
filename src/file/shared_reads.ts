// Reads of a sealed file: a read waits for another read in flight that covers its bytes.

import { alignDown, alignUp } from "../align.ts";
import type { Bytes } from "../engine/operation.ts";
import type { OpenFile } from "./open_file.ts";
import { readRange } from "./random_access.ts";

interface Flight {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Bytes>;
}

/** The most reads in flight that are searched: among thousands a search takes longer than a read. */
const MAX_SEARCHED = 128;

const flightsOf = new WeakMap<OpenFile, Set<Flight>>();

/** As {@linkcode readRange}. Reads of a sealed file share reads in flight. */
export function readBytes(file: OpenFile, position: number, length: number): Promise<Bytes> {
  return file.sealed ? readShared(file, position, length) : readRange(file, position, length);
}

async function readShared(file: OpenFile, position: number, length: number): Promise<Bytes> {
  const end = position + length;
  const flights = flightsOf.getOrInsertComputed(file, () => new Set());
  const joined = flights.size > MAX_SEARCHED
    ? undefined
    : flights.values().find((flight) => flight.start <= position && end <= flight.end);
  const { start, bytes } = joined ?? begin(flights, file, position, end);
  try {
    const part = (await bytes).subarray(position - start, end - start);
    // The caller that began the read owns the memory, and gets it last: it waits for one promise more than the others.
    return joined ? part.slice() : part;
  } catch (error) {
    // The shared read may have failed because of bytes outside this range.
    if (joined) return await readRange(file, position, length);
    throw error;
  }
}

/** Begins a read of whole blocks, as the kernel reads them anyway, so that other reads can share their rest. */
function begin(flights: Set<Flight>, file: OpenFile, position: number, end: number): Flight {
  const { alignment } = file;
  const start = alignDown(position, alignment);
  const blocksEnd = alignUp(end, alignment);
  const bytes = readRange(file, start, blocksEnd - start);
  const flight = { start, end: blocksEnd, bytes };
  flights.add(flight);
  const over = () => flights.delete(flight);
  bytes.then(over, over);
  return flight;
}
