// Reads of a sealed file: a read waits for another read in flight that covers its bytes.

import { alignDown, alignUp } from "../align.ts";
import type { OpenFile } from "./open_file.ts";
import { readRange } from "./random_access.ts";

/** One read in flight, of whole blocks. */
interface Flight {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array<ArrayBuffer>>;
  /** Whether more than one caller waits for it. */
  shared: boolean;
}

/** The reads in flight of sealed files. */
const flightsOf = new WeakMap<OpenFile, Set<Flight>>();

/** As {@linkcode readRange}. Reads of a sealed file share reads in flight. */
export function readBytes(
  file: OpenFile,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  return file.sealed ? readShared(file, position, length) : readRange(file, position, length);
}

async function readShared(
  file: OpenFile,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const end = position + length;
  let flights = flightsOf.get(file);
  if (!flights) flightsOf.set(file, flights = new Set());
  const joined = flights.values().find((flight) => flight.start <= position && end <= flight.end);
  if (joined) joined.shared = true;
  const flight = joined ?? begin(flights, file, position, end);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await flight.bytes;
  } catch (error) {
    // The shared read may have failed because of bytes outside this range.
    if (joined) return await readRange(file, position, length);
    throw error;
  }
  const part = bytes.subarray(position - flight.start, end - flight.start);
  // Each caller owns its memory.
  return flight.shared ? part.slice() : part;
}

/**
 * Begins a read of whole blocks, so that other reads can share their rest. The kernel reads whole blocks in any case.
 */
function begin(flights: Set<Flight>, file: OpenFile, position: number, end: number): Flight {
  const { alignment } = file;
  const start = alignDown(position, alignment);
  const blocksEnd = alignUp(end, alignment);
  const bytes = readRange(file, start, blocksEnd - start);
  const flight = { start, end: blocksEnd, bytes, shared: false };
  flights.add(flight);
  const over = () => flights.delete(flight);
  bytes.then(over, over);
  return flight;
}
