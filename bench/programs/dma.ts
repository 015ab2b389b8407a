// This module's side of the comparison: one job a process.
//
//     deno run -A programs/dma.ts JOB path=… size=… [chunk=…] [bufferSize=…] [depth=…] [source=…]

import { type DmaBuffer, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import {
  everywhere,
  measureOneOf,
  parsePairs,
  rangesOf,
  warmChunk,
  warmStream,
  writeFiles,
} from "./measure.mjs";

// For bench/ring.ts: without Node's handles epoll cannot watch the ring's eventfd.
if (Deno.env.has("BENCH_WITHOUT_EPOLL")) {
  const process = (await import("node:process")).default as unknown as { binding: unknown };
  process.binding = undefined;
}

const given = parsePairs(Deno.args.slice(1));
const { path, size, chunk, source, bufferSize, depth, count, atOnce } = given;

/** The given options; those that are absent have their defaults. */
const geometry = bufferSize === undefined ? {} : { bufferSize };
const writerOptions = depth === undefined ? geometry : { ...geometry, writeBehind: depth };
const readerOptions = depth === undefined ? geometry : { ...geometry, readAhead: depth };

async function openWriter(opened: () => void): Promise<DmaStreamWriter> {
  const file = await DmaFile.create(path);
  opened();
  return new DmaStreamWriter(file, writerOptions);
}

async function openReader(opened: () => void): Promise<DmaStreamReader> {
  const file = await DmaFile.open(source);
  opened();
  return new DmaStreamReader(file, readerOptions);
}

async function writeFile(bytes: Uint8Array, name: string): Promise<void> {
  const file = await DmaFile.create(name);
  const writer = new DmaStreamWriter(file);
  writer.write(bytes as BufferSource);
  await writer.close();
}

/** One call at random positions of the source, by workers with a buffer each. */
async function anywhere(
  opened: () => void,
  caller: (file: DmaFile, buffer: DmaBuffer) => (position: number) => Promise<unknown>,
): Promise<Record<string, unknown>> {
  await using file = await DmaFile.open(source, { write: true });
  opened();
  return await everywhere(given, () => caller(file, file.allocBuffer(chunk)));
}

const jobs: Record<string, (opened: () => void) => Promise<Record<string, unknown>>> = {
  async pipe(opened) {
    await warmStream(size, chunk).pipeTo(await openWriter(opened));
    return { bytes: size };
  },
  async write(opened) {
    const bytes = warmChunk(chunk);
    const writer = await openWriter(opened);
    for (let left = size; left > 0; left -= chunk) {
      await writer.write(bytes.subarray(0, Math.min(left, chunk)));
    }
    await writer.close();
    return { bytes: size };
  },
  async records(opened) {
    const bytes = warmChunk(chunk);
    const writer = await openWriter(opened);
    for (let left = count; left > 0; left--) await writer.write(bytes);
    await writer.close();
    return { bytes: count * chunk, count };
  },
  async forAwait(opened) {
    let bytes = 0;
    for await (const part of await openReader(opened)) bytes += part.length;
    return { bytes };
  },
  async byob(opened) {
    const reader = (await openReader(opened)).getReader({ mode: "byob" });
    let view = new Uint8Array(1 << 20);
    let bytes = 0;
    for (;;) {
      const { value, done } = await reader.read(view);
      if (done) break;
      bytes += value.length;
      view = new Uint8Array(value.buffer);
    }
    return { bytes };
  },
  async copy(opened) {
    await (await openReader(opened)).pipeTo(await openWriter(opened));
    return { bytes: size };
  },
  files: () => writeFiles(given, Deno.mkdir, writeFile),
  randomRead: (opened) => anywhere(opened, (file, { length }) => (at) => file.readAt(at, length)),
  randomReadInto: (opened) => anywhere(opened, (file, buffer) => (at) => file.readInto(buffer, at)),
  randomWrite: (opened) => anywhere(opened, (file, buffer) => (at) => file.writeAt(buffer, at)),
  async readMany(opened) {
    await using file = await DmaFile.open(source);
    opened();
    let bytes = 0;
    for await (const range of file.readMany(rangesOf(given), { concurrency: atOnce })) {
      bytes += range.bytes.length;
    }
    return { bytes, count };
  },
  /** Reads a file like `byob`, but by calls of `readInto`: four buffers are filled again and again. */
  async readInto(opened) {
    await using file = await DmaFile.open(source);
    opened();
    let next = 0;
    const fill = async () => {
      const buffer = file.allocBuffer(bufferSize ?? 1 << 20);
      for (let position; (position = next) < size;) {
        next += buffer.length;
        await file.readInto(buffer, position);
      }
    };
    await Promise.all(Array.from({ length: depth ?? 4 }, fill));
    return { bytes: size };
  },
  async writers(opened) {
    await Deno.mkdir(path);
    const names = Array.from({ length: count }, (_, index) => `${path}/${index}`);
    const files = await Promise.all(names.map((name) => DmaFile.create(name)));
    opened();
    const each = Math.ceil(size / count);
    await Promise.all(
      files.map((file) => warmStream(each, chunk).pipeTo(new DmaStreamWriter(file, writerOptions))),
    );
    return { bytes: each * count, count };
  },
  async blocks(opened) {
    const file = await DmaFile.create(path);
    await file.preallocate(count * chunk);
    const buffer = file.allocBuffer(chunk);
    opened();
    for (let index = 0; index < count; index++) await file.writeAt(buffer, index * chunk);
    await file.close();
    return { bytes: count * chunk, count };
  },
  async open() {
    const file = await DmaFile.open(source);
    await file.close();
    return { count: 1 };
  },
};

await measureOneOf(jobs, Deno.args[0]);
