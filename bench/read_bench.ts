// Reads a cold file in chunks of 100 B to 1 MiB, beside FsFile.read and FsFile.readable.

import { formatSize } from "../cli/units.ts";
import { DmaFile, DmaStreamReader } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { dropFromCache, writeSource } from "./harness/files.ts";
import { benchWays, CHUNK_SIZES, DISK_RUNS } from "./harness/ways.ts";

const directory = benchDirectory();

/** Times a read of a file that is not in the page cache. Dropping it from the page cache is not timed. */
function cold(path: string, total: number, read: () => Promise<number>) {
  return async (bench: Deno.BenchContext) => {
    await dropFromCache(path);
    bench.start();
    const bytes = await read();
    bench.end();
    if (bytes !== total) throw new Error(`Read ${bytes} bytes of ${total}`);
  };
}

/** Reads to the end into views of one length, like a caller with its own buffer. */
async function readByViews(stream: ReadableStream<Uint8Array>, length: number): Promise<number> {
  const reader = stream.getReader({ mode: "byob" });
  let view = new Uint8Array(length);
  let bytes = 0;
  for (;;) {
    const { value, done } = await reader.read(view);
    if (done) return bytes;
    bytes += value.length;
    view = new Uint8Array(value.buffer);
  }
}

async function countParts(parts: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const part of parts) bytes += part.length;
  return bytes;
}

for (const { name, chunk, total } of CHUNK_SIZES) {
  const path = `${directory}/${chunk}`;
  await writeSource(path, total);
  const open = async () => new DmaStreamReader(await DmaFile.open(path));

  benchWays(`read ${formatSize(total)}, cold, by ${name}`, DISK_RUNS, {
    [`FsFile.read, ${name}`]: cold(path, total, async () => {
      using file = await Deno.open(path);
      const buffer = new Uint8Array(chunk);
      let bytes = 0;
      for (;;) {
        const got = await file.read(buffer);
        if (got === null) return bytes;
        bytes += got;
      }
    }),
    [`FsFile.readable, BYOB, ${name}`]: cold(path, total, async () => {
      return await readByViews((await Deno.open(path)).readable, chunk);
    }),
    [`DmaStreamReader, BYOB, ${name}`]: cold(path, total, async () => {
      return await readByViews(await open(), chunk);
    }),
    [`DmaStreamReader, for await (its own chunks), ${name}`]: cold(path, total, async () => {
      return await countParts(await open());
    }),
  });
}
