// Writes a million records of 100 bytes, one call each, beside FsFile.writable.

import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { warmChunk } from "./programs/measure.mjs";

const RECORDS = 1_000_000;
const runs = { n: 5, warmup: 1 } as const;
const path = `${benchDirectory()}/log`;
const record: Uint8Array<ArrayBuffer> = warmChunk(100);
const group = "1,000,000 records of 100 bytes, durable at the end";

Deno.bench({
  ...runs,
  group,
  baseline: true,
  name: "FsFile.writable, await writer.write(), + syncData",
  async fn() {
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    const writer = file.writable.getWriter();
    for (let left = RECORDS; left > 0; left--) await writer.write(record);
    await writer.close();
    using again = await Deno.open(path, { write: true });
    await again.syncData();
  },
});

Deno.bench({
  ...runs,
  group,
  name: "DmaStreamWriter, await getWriter().write()",
  async fn() {
    const stream = new DmaStreamWriter(await DmaFile.create(path));
    const writer = stream.getWriter();
    for (let left = RECORDS; left > 0; left--) await writer.write(record);
    await writer.close();
  },
});

Deno.bench({
  ...runs,
  group,
  name: "DmaStreamWriter, await write()",
  async fn() {
    const stream = new DmaStreamWriter(await DmaFile.create(path));
    for (let left = RECORDS; left > 0; left--) await stream.write(record);
    await stream.close();
  },
});

Deno.bench({
  ...runs,
  group,
  name: "DmaStreamWriter, write() and sync() every 100,000",
  async fn() {
    const stream = new DmaStreamWriter(await DmaFile.create(path));
    for (let left = RECORDS; left > 0; left--) {
      await stream.write(record);
      if (left % 100_000 === 0) await stream.sync();
    }
    await stream.close();
  },
});
