// How a DmaStreamReader ends, whichever way: everything is waited for, freed and closed, and memory is bounded until
// then.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { DmaFile, DmaStreamReader, ioStats } from "../../mod.ts";
import { joined, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { collectGarbage } from "../support/leaks.ts";
import { allOf, openPattern } from "../support/patterned.ts";

const SIZE = 300_001;

/** Runs `fn` on a reader whose file lies open; afterwards nothing of it may be left. */
async function leavesNothing(
  dir: TestDirectory,
  fn: (stream: DmaStreamReader, file: DmaFile) => Promise<void>,
  options: ConstructorParameters<typeof DmaStreamReader>[1] = { bufferSize: 4096 },
): Promise<void> {
  const path = dir.file("left");
  const { poolBuffers, inFlight } = ioStats();
  const file = await openPattern(path, SIZE);
  await fn(new DmaStreamReader(file, options), file);
  const now = ioStats();
  assertEquals([now.poolBuffers, now.inFlight, descriptorsOf(path)], [poolBuffers, inFlight, 0]);
}

testDirectAndCached("A for await that is left early closes the file", async (dir) => {
  await leavesNothing(dir, async (stream) => {
    for await (const chunk of stream) {
      assertEquals(chunk, pattern(chunk.length));
      break;
    }
  });
  await leavesNothing(dir, async (stream) => {
    const loop = async () => {
      for await (const _ of stream) throw new Error("enough");
    };
    await assertRejects(loop, Error, "enough");
  });
});

testDirectAndCached("cancel() frees everything before it resolves", async (dir) => {
  await leavesNothing(dir, (stream) => stream.cancel());
  await leavesNothing(dir, async (stream) => {
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel("enough");
    assertEquals((await reader.read()).done, true);
  });
  await leavesNothing(dir, async (stream) => {
    const reader = stream.getReader();
    const read = reader.read();
    await reader.cancel();
    assertEquals((await read).done, true);
    await stream.close();
  });
});

testDirectAndCached("cancel() leaves the file open if closeFile is false", async (dir) => {
  await leavesNothing(dir, async (stream, file) => {
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    assertEquals(await file.readAt(1, 2), pattern(2, 1));
    await file.close();
  }, { closeFile: false });
});

testDirectAndCached("close() ends the stream under a lock and under a read", async (dir) => {
  for (const readAhead of [0, 4]) {
    await leavesNothing(dir, async (stream) => {
      const reader = stream.getReader();
      await reader.read();
      const read = reader.read();
      await stream.close();
      const { done, value } = await read;
      if (!done) assertEquals(value, pattern(value.length, 4096));
      assertEquals((await reader.read()).done, true);
      await reader.closed;
    }, { bufferSize: 4096, readAhead });
  }
  await leavesNothing(dir, async (stream) => {
    const reader = stream.getReader({ mode: "byob" });
    const read = reader.read(new Uint8Array(100));
    await stream.close();
    const { done, value } = await read;
    assertEquals(value!.byteLength, done ? 0 : 100);
  });
});

testDirectAndCached("close() may be called any number of times", async (dir) => {
  await leavesNothing(dir, async (stream) => {
    const reader = stream.getReader();
    await reader.read();
    await Promise.all([stream.close(), stream.close()]);
    await stream.close();
    await stream[Symbol.asyncDispose]();
  });
  await leavesNothing(dir, async (stream) => {
    await allOf(stream);
    await stream.close();
  });
});

testDirectAndCached("await using closes a reader", async (dir) => {
  await leavesNothing(dir, async (stream) => {
    await using disposed = stream;
    await disposed.getReader().read();
  });
});

testDirectAndCached("close() rejects if closing the file fails", async (dir) => {
  await leavesNothing(dir, async (stream) => {
    const reader = stream.getReader();
    await reader.read();
    using _ = interpose("close", ({ completion, pass }) => {
      pass({}, { complete: () => completion.complete(-5) });
    });
    const read = reader.closed;
    read.catch(() => {});
    const error = await assertRejects(() => stream.close(), Error, "os error 5");
    assertStrictEquals(await read.catch((reason) => reason), error);
    await assertRejects(() => stream.close(), Error, "os error 5");
  });
});

testDirectAndCached("A reader whose file is closed gives the error, not the end", async (dir) => {
  await leavesNothing(dir, async (stream, file) => {
    const reader = stream.getReader();
    await reader.read();
    await file.close();
    const error = await (async () => {
      while (!(await reader.read()).done);
    })().then(() => undefined, (error) => error);
    assertInstanceOf(error, Deno.errors.BadResource);
    assert(error.message.includes("the file is closed"));
    await assertRejects(() => reader.read(), Deno.errors.BadResource);
    await stream.close();
  });
});

testInOneDirectory("Readers that are dropped leak nothing", async (dir) => {
  const path = dir.file("dropped");
  await Deno.writeFile(path, pattern(SIZE));
  const { poolBuffers } = ioStats();
  const drop = async (reads: number) => {
    const stream = new DmaStreamReader(await DmaFile.open(path), { bufferSize: 4096 });
    const reader = stream.getReader();
    for (let count = 0; count < reads; count++) await reader.read();
    if (reads === 2) reader.read().catch(() => {});
    if (reads === 3) (await DmaFile.open(path)).readable.tee();
  };
  for (let count = 0; count < 40; count++) await drop(count % 4);
  await eventually(async () => {
    await collectGarbage();
    return descriptorsIn(dir.path) === 0 && ioStats().poolBuffers === poolBuffers;
  });
});

testInOneDirectory("A reader that is in use is not dropped", async (dir) => {
  const path = dir.file("used");
  await Deno.writeFile(path, pattern(SIZE));
  const start = async () => (await DmaFile.open(path)).readable.getReader();
  const piped = async () =>
    (await DmaFile.open(path)).readable.pipeThrough(new TransformStream<Uint8Array, Uint8Array>());
  const reader = await start();
  const through = await piped();
  const parts = [];
  for (;;) {
    await collectGarbage();
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
  }
  assertEquals(joined(...parts), pattern(SIZE));
  assertEquals(await allOf(through), pattern(SIZE));
});
