// Opens, writes and closes durable files of 4 KiB, one by one and 50 at once.

import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays } from "./harness/ways.ts";
import { warmChunk } from "./programs/measure.mjs";

const directory = benchDirectory();
const bytes: Uint8Array<ArrayBuffer> = warmChunk(4096);
let made = 0;

/** A new name each time, because an existing file is cheaper to write than a new one. */
const newName = () => `${directory}/${made++}`;

async function byDeno(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  await file.write(bytes);
  await file.syncData();
}

async function byWriter(path: string): Promise<void> {
  const writer = new DmaStreamWriter(await DmaFile.create(path));
  await writer.write(bytes);
  await writer.close();
}

async function byWriteAt(path: string): Promise<void> {
  await using file = await DmaFile.create(path);
  await file.writeAt(bytes, 0);
  await file.syncData();
}

for (
  const [group, atOnce] of [["a file of 4 KiB", 1], ["50 files of 4 KiB at once", 50]] as const
) {
  const all = (write: (path: string) => Promise<void>) => () =>
    Promise.all(Array.from({ length: atOnce }, () => write(newName())));
  benchWays(group, atOnce === 1 ? { n: 200, warmup: 20 } : { n: 20, warmup: 2 }, {
    [`Deno open, write, syncData, close × ${atOnce}`]: all(byDeno),
    [`DmaStreamWriter, the name durable too × ${atOnce}`]: all(byWriter),
    [`DmaFile create, writeAt, syncData, close × ${atOnce}`]: all(byWriteAt),
  });
}
