// Reads of a file that does not change any more: whoever wants a part of what is being read waits for that read.

import { alignDown, alignUp } from "../align.ts";
import type { OpenFile } from "./open_file.ts";
import { readRange } from "./random_access.ts";

/** One read in flight, of whole blocks. */
interface Flight {
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array<ArrayBuffer>>;
  /** Somebody else waits for it too. */
  shared: boolean;
}

/** The reads in flight of files that were sealed. */
const flights = new WeakMap<OpenFile, Set<Flight>>();

/** The file does not change any more. */
export function shareReads(file: OpenFile): void {
  flights.set(file, new Set());
}

/** As {@linkcode readRange}, and of a sealed file together with whoever reads the same now. */
export function readBytes(
  file: OpenFile,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const sealed = flights.get(file);
  return sealed ? readShared(sealed, file, position, length) : readRange(file, position, length);
}

async function readShared(
  flights: Set<Flight>,
  file: OpenFile,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const end = position + length;
  const joined = [...flights].find((flight) => flight.start <= position && end <= flight.end);
  if (joined) joined.shared = true;
  const flight = joined ?? begin(flights, file, position, end);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await flight.bytes;
  } catch (error) {
    // It may have failed for bytes that are not wanted here.
    if (joined) return await readRange(file, position, length);
    throw error;
  }
  const part = bytes.subarray(position - flight.start, end - flight.start);
  // Each has memory of its own, to do with as it likes.
  return flight.shared ? part.slice() : part;
}

/** Whole blocks are read anyway: others may want the rest of them. */
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
