// Streams where no memory is to be had for their buffers: they fail as by any other error, and free what they have.

import { assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { allOf, openPattern } from "../support/patterned.ts";

const SIZE = 1_000_000;

/** From now on there are no blocks of `least` bytes or more. */
function withoutMemory(least: number): Disposable {
  engine.acquire = (size) => {
    if (size >= least) throw new RangeError("Cannot map memory");
    return engine.pool.acquire(size);
  };
  return {
    [Symbol.dispose]() {
      delete (engine as { acquire?: unknown }).acquire;
    },
  };
}

testDirectAndCached("A writer without memory fails, and frees everything", async (dir) => {
  const ways: Record<string, (writer: DmaStreamWriter) => Promise<unknown>> = {
    write: (writer) => writer.write(pattern(SIZE)),
    lock: (writer) => writer.getWriter().write(pattern(SIZE)),
    "no first buffer": (writer) => writer.write(pattern(10)),
    pipe: (writer) => ReadableStream.from([pattern(SIZE)]).pipeTo(writer),
    "pipe from a file": async (writer) =>
      await (await openPattern(dir.file("from"), SIZE)).readable.pipeTo(writer),
  };
  for (const [way, write] of Object.entries(ways)) {
    const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), {
      bufferSize: 1 << 18,
    });
    {
      using _ = withoutMemory(way === "no first buffer" ? 1 << 16 : 1 << 18);
      await assertRejects(() => write(writer), RangeError, "Cannot map memory", way);
    }
    await eventually(() => descriptorsIn(dir.path) === 0);
    assertEquals(engine.pool.blocks, 0, way);
    await assertFile(dir.file("file"), pattern(writer.currentFlushedPos), way);
  }
});

testDirectAndCached("A tail takes no memory, and bytes after it fail without any", async (dir) => {
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")));
  await writer.write(pattern(5000));
  // The name takes memory.
  await writer.sync();
  const write = () => writer.write(pattern(10));
  {
    using _ = withoutMemory(0);
    assertEquals(await writer.sync({ tail: true }), 5000);
    await assertRejects(write, RangeError, "Cannot map memory");
  }
  await assertRejects(write, RangeError, "Cannot map memory");
  await assertRejects(() => writer.sync({ tail: true }), RangeError, "Cannot map memory");
  await writer.abort();
  await assertFile(dir.file("file"), pattern(5000));
});

testDirectAndCached("A reader without memory fails, and frees everything", async (dir) => {
  const file = await openPattern(dir.file("file"), SIZE);
  const stream = new DmaStreamReader(file, { bufferSize: 1 << 18, readAhead: 1 });
  const reader = stream.getReader();
  let at = 0;
  const read = async () => {
    for (;;) {
      const { value } = await reader.read();
      assertEquals(value, pattern(value!.length, at));
      at += value!.length;
    }
  };
  await reader.read().then(({ value }) => at += value!.length);
  {
    using _ = withoutMemory(1 << 16);
    await assertRejects(read, RangeError, "Cannot map memory");
  }
  // What was read ahead was given out.
  assertEquals(at % (1 << 18), 0);
  assertEquals([descriptorsIn(dir.path), engine.pool.blocks], [0, 0]);
  assertEquals(await allOf((await DmaFile.open(dir.file("file"))).readable), pattern(SIZE));
});

testDirectAndCached("A writer that ends without any memory frees everything", async (dir) => {
  for (const end of ["close", "abort", "sync"] as const) {
    const file = await DmaFile.create(dir.file("file"));
    const writer = new DmaStreamWriter(file, { preallocate: false });
    await writer.write(pattern(5000));
    await writer.sync();
    {
      using _ = withoutMemory(0);
      await writer[end]().catch((error) => assertEquals(error.message, "Cannot map memory"));
    }
    await file.close();
    assertEquals([descriptorsIn(dir.path), engine.pool.blocks], [0, 0], end);
  }
});

testDirectAndCached("A short read without memory to judge it by fails the reader", async (dir) => {
  const file = await openPattern(dir.file("file"), 10_000);
  const stream = new DmaStreamReader(file, { bufferSize: 1 << 16, readAhead: 1 });
  using _ = interpose("read", ({ pass }) => {
    pass();
    // The buffer is there; what comes afterwards has none.
    engine.acquire = () => {
      throw new RangeError("Cannot map memory");
    };
  });
  try {
    await assertRejects(() => allOf(stream), RangeError, "Cannot map memory");
  } finally {
    delete (engine as { acquire?: unknown }).acquire;
  }
  await eventually(() => descriptorsIn(dir.path) === 0);
  assertEquals(engine.pool.blocks, 0);
});
