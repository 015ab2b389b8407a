// Bun's side of the comparison: one job a process.
//
//     bun programs/bun.mjs JOB path=… size=… [chunk=…] [highWaterMark=…] [source=…]

import { closeSync, fsyncSync, openSync } from "node:fs";
import process from "node:process";
import { measureOneOf, parsePairs, warmChunk } from "./measure.mjs";

const { Bun } = globalThis;
const { path, size, source, count, highWaterMark, chunk } = parsePairs(process.argv.slice(3));
const options = highWaterMark === undefined ? {} : { highWaterMark };

async function fill(times, opened) {
  const bytes = warmChunk(chunk);
  // The sink does not truncate an existing file.
  closeSync(openSync(path, "w"));
  const sink = Bun.file(path).writer(options);
  opened();
  for (let left = times; left > 0; left--) {
    const written = sink.write(bytes);
    if (written instanceof Promise) await written;
  }
  await sink.end();
  const descriptor = openSync(path, "r+");
  fsyncSync(descriptor);
  closeSync(descriptor);
}

const jobs = {
  async write(opened) {
    await fill(Math.ceil(size / chunk), opened);
    return { bytes: size };
  },
  async records(opened) {
    await fill(count, opened);
    return { bytes: count * chunk, count };
  },
  async read() {
    let bytes = 0;
    for await (const part of Bun.file(source).stream(1 << 20)) bytes += part.length;
    return { bytes };
  },
};

await measureOneOf(jobs, process.argv[2]);
