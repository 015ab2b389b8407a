// Measures single operations with nothing else under way: writeAt, readAt, sync.

import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays } from "./harness/ways.ts";
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

async function writeTheirs(): Promise<void> {
  await theirs.seek(nextPosition(), Deno.SeekMode.Start);
  await theirs.write(bytes);
}

benchWays("one writeAt of 4 KiB", runs, {
  "FsFile seek and write, into the page cache": writeTheirs,
  "DmaFile.writeAt, onto the disk": () => own.writeAt(bytes, nextPosition()),
});

benchWays("one writeAt of 4 KiB, durable", runs, {
  "FsFile seek, write, syncData": async () => {
    await writeTheirs();
    await theirs.syncData();
  },
  "DmaFile writeAt, syncData": async () => {
    await own.writeAt(bytes, nextPosition());
    await own.syncData();
  },
});

benchWays("one readAt of 4 KiB", runs, {
  "FsFile seek and read, from the page cache": async () => {
    await theirs.seek(nextPosition(), Deno.SeekMode.Start);
    await theirs.read(buffer);
  },
  "DmaFile.readAt, from the disk": () => own.readAt(nextPosition(), BLOCK),
});

benchWays("one sync with nothing to do", runs, {
  "FsFile.syncData, clean": () => theirs.syncData(),
  "DmaFile.syncData, clean": () => own.syncData(),
});

const appended = await Deno.open(`${directory}/appended`, { write: true, create: true });
const log = new DmaStreamWriter(await DmaFile.create(`${directory}/log`), { bufferSize: BLOCK });

benchWays("append 4 KiB and sync", runs, {
  "FsFile write, syncData": async () => {
    await appended.write(bytes);
    await appended.syncData();
  },
  "DmaStreamWriter write, sync": async () => {
    await log.write(bytes);
    await log.sync();
  },
});
