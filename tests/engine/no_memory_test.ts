// Streams without memory for their buffers fail as after any other error, and free their resources. The simulator shows that
// too; these are the cases that it does not find.

import { assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { engine, replaceMethod } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { allOf, openPattern } from "../support/patterned.ts";

const SIZE = 1_000_000;

function withoutMemory(): Disposable {
  return replaceMethod("acquire", () => {
    throw new RangeError("Cannot map memory");
  });
}

async function assertFails(call: () => Promise<unknown>): Promise<void> {
  await assertRejects(call, RangeError, "Cannot map memory");
}

/** Throws unless no file of the directory and no block is in use, now or when a close is over. */
async function assertFreed(dir: TestDirectory): Promise<void> {
  await eventually(() => descriptorsIn(dir.path) === 0);
  assertEquals(engine.pool.blocks, 0);
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

testDirectAndCached("A pipe from a file without memory for once frees everything", async (dir) => {
  const source = await openPattern(dir.file("from"), SIZE);
  const stream = new DmaStreamReader(source, { bufferSize: 1 << 18, readAhead: 0 });
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), { bufferSize: 4096 });
  let failed = false;
  using _ = replaceMethod("acquire", (size) => {
    if (failed || size < 1 << 18) return engine.pool.acquire(size);
    failed = true;
    throw new RangeError("Cannot map memory");
  });
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
