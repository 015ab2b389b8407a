// Measures single operations with nothing else under way: writeAt, readAt, sync.

import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { warmChunk } from "./programs/measure.mjs";

const BLOCK = 4096;
const BLOCKS = 1024;
const runs = { n: 300, warmup: 30 } as const;

const directory = benchDirectory();
const bytes: Uint8Array<ArrayBuffer> = warmChunk(BLOCK);

/** Positions of existing blocks, in an order that no read-ahead predicts. */
const nextPosition = (() => {
  let at = 0;
  return () => (at = (at + 389) % BLOCKS) * BLOCK;
})();

async function makeFile(path: string): Promise<void> {
  await Deno.writeFile(path, warmChunk(BLOCK * BLOCKS));
  using file = await Deno.open(path, { write: true });
  await file.sync();
}

await makeFile(`${directory}/own`);
await makeFile(`${directory}/deno`);
const own = await DmaFile.open(`${directory}/own`, { write: true });
const theirs = await Deno.open(`${directory}/deno`, { read: true, write: true });
const buffer = new Uint8Array(BLOCK);

Deno.bench({
  ...runs,
  group: "one writeAt of 4 KiB",
  baseline: true,
  name: "FsFile seek and write, into the page cache",
  async fn() {
    await theirs.seek(nextPosition(), Deno.SeekMode.Start);
    await theirs.write(bytes);
  },
});

Deno.bench({
  ...runs,
  group: "one writeAt of 4 KiB",
  name: "DmaFile.writeAt, onto the disk",
  async fn() {
    await own.writeAt(bytes, nextPosition());
  },
});

Deno.bench({
  ...runs,
  group: "one writeAt of 4 KiB, durable",
  baseline: true,
  name: "FsFile seek, write, syncData",
  async fn() {
    await theirs.seek(nextPosition(), Deno.SeekMode.Start);
    await theirs.write(bytes);
    await theirs.syncData();
  },
});

Deno.bench({
  ...runs,
  group: "one writeAt of 4 KiB, durable",
  name: "DmaFile writeAt, syncData",
  async fn() {
    await own.writeAt(bytes, nextPosition());
    await own.syncData();
  },
});

Deno.bench({
  ...runs,
  group: "one readAt of 4 KiB",
  baseline: true,
  name: "FsFile seek and read, from the page cache",
  async fn() {
    await theirs.seek(nextPosition(), Deno.SeekMode.Start);
    await theirs.read(buffer);
  },
});

Deno.bench({
  ...runs,
  group: "one readAt of 4 KiB",
  name: "DmaFile.readAt, from the disk",
  async fn() {
    await own.readAt(nextPosition(), BLOCK);
  },
});

Deno.bench({
  ...runs,
  group: "one sync with nothing to do",
  baseline: true,
  name: "FsFile.syncData, clean",
  async fn() {
    await theirs.syncData();
  },
});

Deno.bench({
  ...runs,
  group: "one sync with nothing to do",
  name: "DmaFile.syncData, clean",
  async fn() {
    await own.syncData();
  },
});

const appended = await Deno.open(`${directory}/appended`, { write: true, create: true });
const log = new DmaStreamWriter(await DmaFile.create(`${directory}/log`), { bufferSize: BLOCK });

Deno.bench({
  ...runs,
  group: "append 4 KiB and sync",
  baseline: true,
  name: "FsFile write, syncData",
  async fn() {
    await appended.write(bytes);
    await appended.syncData();
  },
});

Deno.bench({
  ...runs,
  group: "append 4 KiB and sync",
  name: "DmaStreamWriter write, sync",
  async fn() {
    await log.write(bytes);
    await log.sync();
  },
});
