// Test bytes that depend on their position, files and streams of them, and comparisons with the content of files.

import { Buffer } from "node:buffer";
import { DmaFile, DmaStreamReader } from "../../mod.ts";
import type { DmaOpenOptions, DmaStreamReaderOptions } from "../../mod.ts";

export const MIB = 1 << 20;

/** Bytes that differ by position and seed, and from zeros, so that missing, misplaced and stale ones are seen. */
export function pattern(length: number, start = 0, seed = 0): Uint8Array<ArrayBuffer> {
  const first = Math.floor(start / 4);
  const words = new Uint32Array(Math.ceil((start + length) / 4) - first);
  for (let at = 0; at < words.length; at++) {
    words[at] = Math.imul(first + at + 1 + Math.imul(seed, 0x0100_0193), 0x9e37_79b1);
  }
  return new Uint8Array(words.buffer).slice(start - first * 4, start - first * 4 + length);
}

/** The position of the first byte below `length` that is not the pattern's; -1 without one. */
export function firstWrong(bytes: Uint8Array, length: number, seed = 0, position = 0): number {
  const expected = pattern(length, position, seed);
  for (let at = 0; at < length; at++) if (bytes[at] !== expected[at]) return position + at;
  return -1;
}

/** The position of the first byte from `from` on that is neither the pattern's nor zero; -1 without one. */
export function firstForeign(bytes: Uint8Array, from: number, seed = 0): number {
  const expected = pattern(Math.max(0, bytes.length - from), from, seed);
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] !== 0 && bytes[at] !== expected[at - from]) return at;
  }
  return -1;
}

export function filled(length: number, byte: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).fill(byte);
}

export function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What a file has when `bytes` are put into it. */
export function overlaid(before: Uint8Array, bytes: Uint8Array, position: number) {
  const end = bytes.length === 0 ? 0 : position + bytes.length;
  const after = new Uint8Array(Math.max(before.length, end));
  after.set(before);
  if (end > 0) after.set(bytes, position);
  return after;
}

/** Copies of `bytes` in pieces of `size`, the last one shorter. */
export function chunksOf(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer>[] {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
  return chunks;
}

/** Throws unless the file has exactly these bytes when it is read without this module. */
export async function assertFile(path: string, expected: Uint8Array, msg = ""): Promise<void> {
  const bytes = await Deno.readFile(path);
  if (Buffer.compare(bytes, expected) === 0) return;
  const at = bytes.findIndex((byte, index) => byte !== expected[index]);
  const lengths = `${bytes.length} bytes instead of ${expected.length}`;
  throw new Error(`${path} has ${lengths}, and is wrong from byte ${at} on ${msg}`);
}

export async function assertNoFile(path: string): Promise<void> {
  const there = await Deno.lstat(path).then(() => true, () => false);
  if (there) throw new Error(`${path} is there`);
}

/** The names in a directory, sorted. */
export async function namesIn(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name).sort();
}

/** Makes a file with these bytes, and opens it for reading and writing. */
export async function openWith(path: string, bytes: Uint8Array, options?: DmaOpenOptions) {
  await Deno.writeFile(path, bytes);
  return await DmaFile.open(path, options ?? { write: true });
}

/** Makes a file of that length with {@linkcode pattern} in it, and opens it for reading. */
export function openPattern(path: string, length: number, options: DmaOpenOptions = {}) {
  return openWith(path, pattern(length), options);
}

export async function readPattern(path: string, length: number, options?: DmaStreamReaderOptions) {
  return new DmaStreamReader(await openPattern(path, length), options);
}

export async function allOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  return joined(...await Array.fromAsync(stream));
}
