// Reads of a file that no longer changes: a read of bytes that another read in flight covers waits for that one.

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

/** As {@linkcode readRange}. Reads of a sealed file share what is in flight. */
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
    // It may have failed because of bytes outside this range.
    if (joined) return await readRange(file, position, length);
    throw error;
  }
  const part = bytes.subarray(position - flight.start, end - flight.start);
  // Each caller owns its memory.
  return flight.shared ? part.slice() : part;
}

/** Begins a read of whole blocks, which the kernel reads anyway: others may want the rest of them. */
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
