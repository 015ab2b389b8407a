// Reads and writes blocks of 4 KiB at random positions of a file on the disk, 1, 32 and 128 at once, and reads scattered
// ranges. Deno's own file has one position, so its calls run one after the other, and it reads from the page cache.

import { DmaFile } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays } from "./harness/ways.ts";
import { warmChunk } from "./programs/measure.mjs";

const BLOCK = 4096;
const SIZE = 256 << 20;
/** Blocks in one iteration. */
const BLOCKS = 1024;
const runs = { n: 10, warmup: 2 } as const;

const path = `${benchDirectory()}/file`;
const file = await DmaFile.create(path);
{
  const buffer = file.allocBuffer(1 << 20);
  buffer.bytes.set(warmChunk(1 << 20));
  for (let position = 0; position < SIZE; position += 1 << 20) {
    await file.writeAt(buffer, position);
  }
  await file.sync();
}
const theirs = await Deno.open(path, { read: true, write: true });
const bytes = new Uint8Array(BLOCK);

/** Positions of blocks, in an order that no read-ahead predicts. */
const nextPosition = (() => {
  let seed = 1;
  return () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return (seed >>> 8) % (SIZE / BLOCK) * BLOCK;
  };
})();

/** Runs one iteration with `atOnce` tasks, each with its own buffer. */
async function byTasks(
  atOnce: number,
  work: (buffer: ReturnType<typeof file.allocBuffer>) => Promise<unknown>,
): Promise<void> {
  let left = BLOCKS;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    const buffer = file.allocBuffer(BLOCK);
    while (left-- > 0) await work(buffer);
  }));
}

const DEPTHS = [1, 32, 128];

/** One of this module's calls, at each depth. */
function atDepths(name: string, work: Parameters<typeof byTasks>[1]) {
  return Object.fromEntries(
    DEPTHS.map((atOnce) => [`${name}, ${atOnce} at once`, () => byTasks(atOnce, work)]),
  );
}

async function seekAndCall(call: "read" | "write"): Promise<void> {
  for (let left = BLOCKS; left > 0; left--) {
    await theirs.seek(nextPosition(), Deno.SeekMode.Start);
    await theirs[call](bytes);
  }
}

benchWays("random reads: 1,024 of 4 KiB", runs, {
  "FsFile seek and read, by way of the page cache": () => seekAndCall("read"),
  ...atDepths("DmaFile.readAt", () => file.readAt(nextPosition(), BLOCK)),
  ...atDepths("DmaFile.readInto", (buffer) => file.readInto(buffer, nextPosition())),
});

benchWays("random writes: 1,024 of 4 KiB", runs, {
  "FsFile seek and write, by way of the page cache": () => seekAndCall("write"),
  ...atDepths("DmaFile.writeAt", (buffer) => file.writeAt(buffer, nextPosition())),
});

/** Ranges of 4 to 64 KiB anywhere in the file. */
function someRanges(): { position: number; length: number }[] {
  return Array.from({ length: BLOCKS }, (_, index) => {
    const length = (index % 16 + 1) * BLOCK;
    return { position: Math.min(nextPosition(), SIZE - length), length };
  });
}

benchWays("scattered ranges: 1,024 of 4 to 64 KiB", runs, {
  "FsFile seek and read, by way of the page cache": async () => {
    for (const { position, length } of someRanges()) {
      await theirs.seek(position, Deno.SeekMode.Start);
      await theirs.read(new Uint8Array(length));
    }
  },
  "DmaFile.readMany, as they come": () => Array.fromAsync(file.readMany(someRanges()), () => {}),
  "DmaFile.readMany, sorted by position": () => {
    const sorted = someRanges().sort((one, other) => one.position - other.position);
    return Array.fromAsync(file.readMany(sorted), () => {});
  },
});
