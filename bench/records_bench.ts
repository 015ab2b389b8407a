// Writes a million records of 100 bytes, one call each, beside FsFile.writable.

import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays } from "./harness/ways.ts";
import { warmChunk } from "./programs/measure.mjs";

const RECORDS = 1_000_000;
const path = `${benchDirectory()}/log`;
const record: Uint8Array<ArrayBuffer> = warmChunk(100);

async function writeAll(write: (bytes: typeof record) => Promise<void>): Promise<void> {
  for (let left = RECORDS; left > 0; left--) await write(record);
}

benchWays("1,000,000 records of 100 bytes, durable at the end", { n: 5, warmup: 1 }, {
  "FsFile.writable, await writer.write(), + syncData": async () => {
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    const writer = file.writable.getWriter();
    await writeAll((bytes) => writer.write(bytes));
    await writer.close();
    using again = await Deno.open(path, { write: true });
    await again.syncData();
  },
  "DmaStreamWriter, await getWriter().write()": async () => {
    const writer = new DmaStreamWriter(await DmaFile.create(path)).getWriter();
    await writeAll((bytes) => writer.write(bytes));
    await writer.close();
  },
  "DmaStreamWriter, await write()": async () => {
    const stream = new DmaStreamWriter(await DmaFile.create(path));
    await writeAll((bytes) => stream.write(bytes));
    await stream.close();
  },
  "DmaStreamWriter, write() and sync() every 100,000": async () => {
    const stream = new DmaStreamWriter(await DmaFile.create(path));
    for (let left = RECORDS; left > 0; left--) {
      await stream.write(record);
      if (left % 100_000 === 0) await stream.sync();
    }
    await stream.close();
  },
});
