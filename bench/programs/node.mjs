// Node.js' side of the comparison: one job a process.
//
//     node programs/node.mjs JOB path=… size=… [chunk=…] [highWaterMark=…] [source=…]

import { constants, createReadStream, createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import { once } from "node:events";
import process from "node:process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { everywhere, measureOneOf, parsePairs, warmChunk } from "./measure.mjs";

const given = parsePairs(process.argv.slice(3));
const { path, size, source, count, highWaterMark, chunk } = given;
const options = highWaterMark === undefined ? {} : { highWaterMark };

/** `flush` calls fsync before the stream closes. */
async function openSink(opened) {
  const sink = createWriteStream(path, { ...options, flush: true });
  await once(sink, "open");
  opened();
  return sink;
}

/** A buffer for O_DIRECT. */
function alignedBuffer(length) {
  // The memory of a resizable ArrayBuffer is mapped, so it is aligned to a page.
  return new Uint8Array(new ArrayBuffer(length, { maxByteLength: length }));
}

async function everywhereDirectly(opened, flags, call) {
  const file = await open(source, flags | constants.O_DIRECT);
  opened();
  const outcome = await everywhere(given, () => {
    const buffer = alignedBuffer(chunk);
    return (position) => file[call](buffer, 0, chunk, position);
  });
  await file.close();
  return outcome;
}

const jobs = {
  randomRead: (opened) => everywhereDirectly(opened, constants.O_RDONLY, "read"),
  randomWrite: (opened) => everywhereDirectly(opened, constants.O_RDWR, "write"),
  async pipe(opened) {
    const bytes = warmChunk(chunk);
    let left = size;
    const from = new Readable({
      read() {
        const part = Math.min(left, chunk);
        left -= part;
        this.push(part === 0 ? null : part === chunk ? bytes : bytes.subarray(0, part));
      },
    });
    await pipeline(from, await openSink(opened));
    return { bytes: size };
  },
  async records(opened) {
    const bytes = warmChunk(chunk);
    const sink = await openSink(opened);
    for (let left = count; left > 0; left--) {
      if (!sink.write(bytes)) await once(sink, "drain");
    }
    sink.end();
    await once(sink, "close");
    return { bytes: count * chunk, count };
  },
  async read(opened) {
    let bytes = 0;
    const stream = createReadStream(source, options);
    await once(stream, "open");
    opened();
    for await (const part of stream) bytes += part.length;
    return { bytes };
  },
};

await measureOneOf(jobs, process.argv[2]);
