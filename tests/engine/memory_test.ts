// The memory of I/O buffers is bounded and shared, is given back, and may be lacking.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engine, replaceMethod } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { assertNoLeak, collectGarbage, takeStock } from "../support/leaks.ts";
import { allOf, openPattern } from "../support/patterned.ts";

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
  assert(engine.pool.mapped <= 2 * KEPT, `${engine.pool.mapped} bytes are kept`);
});

testInOneDirectory("Writes of many lengths share their memory", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const before = ioStats();
  const writes: Promise<number>[] = [];
  for (let count = 1, position = 0; count <= 200; count++) {
    const length = file.alignUp(count * 5000);
    writes.push(file.writeAt(new Uint8Array(length), position));
    position += length + file.alignment.offset;
  }
  const { poolBytes, poolBytesUsed } = ioStats();
  const used = poolBytesUsed - before.poolBytesUsed;
  const mapped = poolBytes - before.poolBytes;
  assert(used > 60 * MiB, `${used} bytes in use`);
  assert(mapped < 2.5 * used, `${mapped} bytes mapped for ${used}`);
  await Promise.all(writes);
});

// ---- no memory: the cases that the simulator does not find ---------------------------------------------------------

/** Refuses memory for buffers of this size or more, at most so often. */
function withoutMemory(smallest = 0, times = Infinity): Disposable {
  return replaceMethod("acquire", (size) => {
    if (size < smallest || times-- <= 0) return engine.pool.acquire(size);
    throw new RangeError("Cannot map memory");
  });
}

async function assertFails(call: () => Promise<unknown>): Promise<void> {
  await assertRejects(call, RangeError, "Cannot map memory");
}

/** Throws unless no file of the directory and no block is in use, now or when a close is over. */
async function assertFreed(dir: TestDirectory): Promise<void> {
  await eventually(() => descriptorsIn(dir.path) === 0 && engine.pool.blocks === 0);
}

testDirectAndCached("A tail takes no memory, and bytes after it fail without any", async (dir) => {
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")));
  await writer.write(pattern(5000));
  // The name takes memory.
  await writer.sync();
  const write = () => writer.write(pattern(10));
  {
    using _ = withoutMemory();
    assertEquals(await writer.sync({ tail: true }), 5000);
    await assertFails(write);
  }
  await assertFails(write);
  await assertFails(() => writer.sync({ tail: true }));
  await writer.abort();
  await assertFile(dir.file("file"), pattern(5000));
});

testDirectAndCached("Calls beside a chunk without memory fail with it", async (dir) => {
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")));
  {
    using _ = withoutMemory();
    const calls = [writer.write(pattern(10)), writer.sync({ tail: true }), writer.close()];
    await Promise.all(calls.map((call) => assertFails(() => call)));
  }
  assertEquals([writer.currentPos, writer.nextPos], [0, 0]);
  await assertFreed(dir);
});

/** Uses of the file "old", and of the names "new" and "link". */
const uses: Record<string, (old: string, path: string, link: string) => Promise<void>> = {
  "A created file": async (_, path) => {
    await using file = await DmaFile.create(path);
    await file.writeAt(file.allocBuffer(1), 0);
    await file.sync();
  },
  "A file created through a link": async (_, path, link) => {
    await Deno.symlink(path, link);
    await using file = await DmaFile.open(link, { write: true, create: true });
    await file.truncate(5000);
  },
  "An atomic file": async (old, path) => {
    await using file = await DmaFile.create(old, { atomic: true });
    await file.writeAt(file.allocBuffer(1), 0);
    await file.rename(path);
  },
  "A copied file": async (old, path) => {
    await using from = await DmaFile.open(old);
    await using to = await DmaFile.create(path);
    await from.copyRangeTo(to, 1, 5000, 3);
    await from.rename(path);
    await from.remove();
  },
  "A writer": async (old) => {
    const file = await DmaFile.open(old, { write: true });
    const writer = new DmaStreamWriter(file, { position: 100, bufferSize: 4096 });
    await writer.write(pattern(5000));
    writer.flushSync({ durable: true });
    await writer.close();
  },
  "A reader": async (old) => {
    const file = await DmaFile.open(old);
    for await (const _ of new DmaStreamReader(file, { bufferSize: 4096 }));
  },
};

for (const [name, use] of Object.entries(uses)) {
  testDirectAndCached(`${name} without memory for once, wherever, leaves nothing`, async (dir) => {
    for (let place = 0, isReached = true; isReached; place++) {
      await Deno.writeFile(dir.file("old"), pattern(10_000));
      isReached = false;
      let taken = 0;
      using _ = replaceMethod("acquire", (size) => {
        if (taken++ !== place) return engine.pool.acquire(size);
        isReached = true;
        throw new RangeError("Cannot map memory");
      });
      await use(dir.file("old"), dir.file("new"), dir.file("link")).catch((error) => {
        assertEquals(error.message, "Cannot map memory");
      });
      await assertFreed(dir);
      const left = await namesIn(dir.path);
      assertEquals(left.filter((name) => name.startsWith(".")), []);
      await Promise.all(left.map((name) => Deno.remove(dir.file(name))));
    }
  });
}

testDirectAndCached("A pipe from a file without memory for once frees everything", async (dir) => {
  const source = await openPattern(dir.file("from"), MiB);
  const stream = new DmaStreamReader(source, { bufferSize: 1 << 18, readAhead: 0 });
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), { bufferSize: 4096 });
  using _ = withoutMemory(1 << 18, 1);
  await assertFails(() => stream.pipeTo(writer));
  await assertFreed(dir);
});

testDirectAndCached("A short read without memory to judge it by fails the reader", async (dir) => {
  const file = await openPattern(dir.file("file"), 10_000);
  const stream = new DmaStreamReader(file, { bufferSize: 1 << 16, readAhead: 1 });
  using taken = new DisposableStack();
  using _ = interpose("read", ({ pass }) => {
    pass();
    // The buffer exists, but no later one can be allocated.
    taken.use(withoutMemory());
  });
  await assertFails(() => allOf(stream));
  await assertFreed(dir);
});
