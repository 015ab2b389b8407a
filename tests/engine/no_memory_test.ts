// Streams without memory for their buffers fail as after any other error, and free their resources.

import { assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { allOf, openPattern } from "../support/patterned.ts";

const SIZE = 1_000_000;

/** Until it is disposed, blocks of `least` or more bytes cannot be allocated. */
function withoutMemory(least: number): Disposable {
  engine.acquire = (size) => {
    if (size >= least) throw new RangeError("Cannot map memory");
    return engine.pool.acquire(size);
  };
  return { [Symbol.dispose]: () => void delete (engine as { acquire?: unknown }).acquire };
}

async function assertFails(call: () => Promise<unknown>): Promise<void> {
  await assertRejects(call, RangeError, "Cannot map memory");
}

/** Throws unless no file of the directory and no block is in use, now or when a close is over. */
async function assertFreed(dir: TestDirectory): Promise<void> {
  await eventually(() => descriptorsIn(dir.path) === 0);
  assertEquals(engine.pool.blocks, 0);
}

const writes: Record<string, (writer: DmaStreamWriter, other: string) => Promise<unknown>> = {
  write: (writer) => writer.write(pattern(SIZE)),
  lock: (writer) => writer.getWriter().write(pattern(SIZE)),
  "no first buffer": (writer) => writer.write(pattern(10)),
  pipe: (writer) => ReadableStream.from([pattern(SIZE)]).pipeTo(writer),
  "pipe from a file": async (writer, other) =>
    await (await openPattern(other, SIZE)).readable.pipeTo(writer),
};

for (const [way, write] of Object.entries(writes)) {
  testDirectAndCached(`A writer without memory frees everything [${way}]`, async (dir) => {
    const file = await DmaFile.create(dir.file("file"));
    const writer = new DmaStreamWriter(file, { bufferSize: 1 << 18 });
    {
      using _ = withoutMemory(way === "no first buffer" ? 1 << 16 : 1 << 18);
      await assertFails(() => write(writer, dir.file("from")));
    }
    await assertFreed(dir);
    await assertFile(dir.file("file"), pattern(writer.currentFlushedPos));
  });
}

testDirectAndCached("A tail takes no memory, and bytes after it fail without any", async (dir) => {
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")));
  await writer.write(pattern(5000));
  // The name takes memory.
  await writer.sync();
  const write = () => writer.write(pattern(10));
  {
    using _ = withoutMemory(0);
    assertEquals(await writer.sync({ tail: true }), 5000);
    await assertFails(write);
  }
  await assertFails(write);
  await assertFails(() => writer.sync({ tail: true }));
  await writer.abort();
  await assertFile(dir.file("file"), pattern(5000));
});

testDirectAndCached("A reader without memory fails, and frees everything", async (dir) => {
  const file = await openPattern(dir.file("file"), SIZE);
  const reader = new DmaStreamReader(file, { bufferSize: 1 << 18, readAhead: 1 }).getReader();
  let at = 0;
  const read = async () => {
    const { value } = await reader.read();
    assertEquals(value, pattern(value!.length, at));
    at += value!.length;
  };
  await read();
  {
    using _ = withoutMemory(1 << 16);
    await assertFails(async () => {
      for (;;) await read();
    });
  }
  // The read-ahead bytes were delivered.
  assertEquals(at % (1 << 18), 0);
  await assertFreed(dir);
});

for (const end of ["close", "abort", "sync"] as const) {
  testDirectAndCached(`Without any memory ${end} frees everything`, async (dir) => {
    const file = await DmaFile.create(dir.file("file"));
    const writer = new DmaStreamWriter(file, { preallocate: false });
    await writer.write(pattern(5000));
    await writer.sync();
    {
      using _ = withoutMemory(0);
      await writer[end]().catch((error) => assertEquals(error.message, "Cannot map memory"));
    }
    await file.close();
    await assertFreed(dir);
  });
}

testDirectAndCached("A pipe from a file without memory for once frees everything", async (dir) => {
  const source = await openPattern(dir.file("from"), SIZE);
  const stream = new DmaStreamReader(source, { bufferSize: 1 << 18, readAhead: 0 });
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), { bufferSize: 4096 });
  engine.acquire = (size) => {
    if (size < 1 << 18) return engine.pool.acquire(size);
    delete (engine as { acquire?: unknown }).acquire;
    throw new RangeError("Cannot map memory");
  };
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
    taken.use(withoutMemory(0));
  });
  await assertFails(() => allOf(stream));
  await assertFreed(dir);
});
