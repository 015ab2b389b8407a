// Reads a cold file in chunks of 100 B to 1 MiB, beside FsFile.read and FsFile.readable.

import { DmaFile, DmaStreamReader } from "../mod.ts";
import { benchDirectory, CHUNK_SIZES, DISK_RUNS } from "./harness/bench_directory.ts";
import { dropFromCache } from "./harness/page_cache.ts";
import { writeSource } from "./harness/source.ts";
import { showBytes } from "./harness/units.ts";

const directory = benchDirectory();

/** Times a read of a file that is not in the page cache. Dropping it from the page cache is not timed. */
function cold(path: string, read: () => Promise<number>, total: number) {
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

for (const { name, chunk, total } of CHUNK_SIZES) {
  const group = `read ${showBytes(total)}, cold, by ${name}`;
  const path = `${directory}/${chunk}`;
  await writeSource(path, total);

  Deno.bench({
    ...DISK_RUNS,
    group,
    baseline: true,
    name: `FsFile.read, ${name}`,
    fn: cold(path, async () => {
      using file = await Deno.open(path);
      const buffer = new Uint8Array(chunk);
      let bytes = 0;
      for (;;) {
        const got = await file.read(buffer);
        if (got === null) return bytes;
        bytes += got;
      }
    }, total),
  });

  Deno.bench({
    ...DISK_RUNS,
    group,
    name: `FsFile.readable, BYOB, ${name}`,
    fn: cold(path, async () => await readByViews((await Deno.open(path)).readable, chunk), total),
  });

  Deno.bench({
    ...DISK_RUNS,
    group,
    name: `DmaStreamReader, BYOB, ${name}`,
    fn: cold(
      path,
      async () => await readByViews(new DmaStreamReader(await DmaFile.open(path)), chunk),
      total,
    ),
  });

  Deno.bench({
    ...DISK_RUNS,
    group,
    name: `DmaStreamReader, for await (its own chunks), ${name}`,
    fn: cold(path, async () => {
      let bytes = 0;
      for await (const part of new DmaStreamReader(await DmaFile.open(path))) bytes += part.length;
      return bytes;
    }, total),
  });
}
