// Many sequential files leave no descriptor, mapping or memory behind.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsIn } from "../support/descriptors.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { assertNoLeak, collectGarbage, takeStock } from "../support/leaks.ts";

const MiB = 1024 * 1024;
/** The memory that a pool may keep for reuse. */
const KEPT = 32 * MiB;

testInOneDirectory("1,500 small files one after the other leave nothing", async (dir) => {
  const paths = Array.from({ length: 50 }, (_, index) => dir.file(`small ${index}`));
  /** The held resources after so many files and a garbage collection. */
  const stockAfter = async (count: number) => {
    for (let index = 0; index < count; index++) {
      const writer = new DmaStreamWriter(await DmaFile.create(paths[index % 50]!));
      await writer.write(pattern(1000 + index % 7));
      await writer.close();
    }
    await collectGarbage();
    return { ...takeStock(), heap: Deno.memoryUsage().heapUsed };
  };
  // Code is compiled, pools are filled and caches grow in the beginning.
  const before = await stockAfter(300);
  const { mapped } = engine.pool;
  const after = await stockAfter(1500);
  // 1 MiB over 1,500 files is 700 bytes a file. A leaked writer holds 5 KiB, with its stream and its promises. Leaked
  // buffers would show in resident memory, of which V8's own share grows by some 12 MiB meanwhile.
  const grown = after.heap - before.heap;
  assert(grown < MiB, `JavaScript's heap has grown by ${grown} bytes`);
  assertNoLeak(before, after, { resident: 24 * MiB, mappings: 16 });
  const { counters: { inFlight }, pool: { blocks, used } } = engine;
  assertEquals({ inFlight, blocks, used }, { inFlight: 0, blocks: 0, used: 0 });
  assert(engine.pool.mapped <= Math.max(mapped, KEPT), `The pool has ${engine.pool.mapped} bytes`);
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
  // Some memory is kept for the next file.
  assert(engine.pool.mapped <= 64 * MiB, `${engine.pool.mapped} bytes are kept`);
});
