// Makes files with the pattern, without this module, and reads streams to their end.

import {
  DmaFile,
  type DmaOpenOptions,
  DmaStreamReader,
  type DmaStreamReaderOptions,
} from "../../mod.ts";
import { joined, pattern } from "./bytes.ts";

/** Makes a file of that length with {@linkcode pattern} in it, and opens it for reading. */
export async function openPattern(path: string, length: number, options?: DmaOpenOptions) {
  await Deno.writeFile(path, pattern(length));
  return await DmaFile.open(path, options);
}

export async function readPattern(path: string, length: number, options?: DmaStreamReaderOptions) {
  return new DmaStreamReader(await openPattern(path, length), options);
}

export async function allOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  return joined(...await Array.fromAsync(stream));
}
