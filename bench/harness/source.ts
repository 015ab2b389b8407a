// The file that all readers read, written once.

import { warmChunk } from "../programs/measure.mjs";
import { MIB } from "./units.ts";

/** Writes a durable file of `size` bytes without zeros, for which a layer might take a shortcut. */
export async function writeSource(path: string, size: number): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true });
  const chunk: Uint8Array = warmChunk(MIB);
  for (let left = size; left > 0;) {
    left -= await file.write(chunk.subarray(0, Math.min(left, chunk.length)));
  }
  await file.sync();
}
