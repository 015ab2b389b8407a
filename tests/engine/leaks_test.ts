// Many files one after the other: no descriptor, mapping or memory is left over.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsIn } from "../support/descriptors.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { assertNoLeak, collectGarbage, type Holdings, takeStock } from "../support/leaks.ts";

const MiB = 1024 * 1024;

/** What the process holds when everything that can be collected was. */
async function settledStock(): Promise<Holdings> {
  await collectGarbage();
  return takeStock();
}

/** What a pool may keep for reuse. */
const KEPT = 32 * MiB;

/** Throws where the engine holds anything, or its pool has grown beyond what it keeps. */
function assertEngineIdle(mapped: number): void {
  assertEquals(engine.counters.inFlight, 0);
  assertEquals(engine.pool.blocks, 0);
  assertEquals(engine.pool.used, 0);
  const most = Math.max(mapped, KEPT);
  assert(engine.pool.mapped <= most, `The pool has ${engine.pool.mapped} bytes, had ${mapped}`);
}

async function writeOne(path: string, length: number): Promise<void> {
  const writer = new DmaStreamWriter(await DmaFile.create(path));
  await writer.write(pattern(length));
  await writer.close();
}

testInOneDirectory("1,500 small files one after the other leave nothing", async (dir) => {
  const paths = Array.from({ length: 50 }, (_, index) => dir.file(`small ${index}`));
  const round = async (count: number) => {
    for (let index = 0; index < count; index++) {
      await writeOne(paths[index % 50]!, 1000 + index % 7);
    }
  };
  // Code is compiled, pools are filled and caches grow in the beginning.
  await round(300);
  const before = await settledStock();
  const { heapUsed } = Deno.memoryUsage();
  const { mapped } = engine.pool;
  await round(1500);
  const after = await settledStock();
  // 1 MiB over 1,500 files is 700 bytes a file; a writer that is forgotten by anybody holds 5 KiB, with its stream and its
  // promises. A buffer each would be seen as resident: V8's own share grows by some 12 MiB meanwhile.
  const grown = Deno.memoryUsage().heapUsed - heapUsed;
  assert(grown < MiB, `JavaScript's heap has grown by ${grown} bytes`);
  assertNoLeak(before, after, { resident: 24 * MiB, mappings: 16 });
  assertEngineIdle(mapped);
  assertEquals(descriptorsIn(dir.path), 0);
  await assertFile(paths[0]!, pattern(1000 + 1450 % 7));
});

testInOneDirectory("The memory of a large file is given back when it is closed", async (dir) => {
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("large")), {
    bufferSize: 8 * MiB,
    writeBehind: 15,
    syncOnClose: false,
  });
  const chunk = pattern(4 * MiB);
  for (let index = 0; index < 64; index++) await writer.write(chunk);
  await writer.close();
  assertEquals(engine.pool.used, 0);
  // Some of it is kept for the next file.
  assert(engine.pool.mapped <= 64 * MiB, `${engine.pool.mapped} bytes are kept`);
});
