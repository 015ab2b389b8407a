// How a writer fills its buffers and starts writes: nothing waits without need, and callers share operations.

import { assert, assertEquals } from "@std/assert";
import { ioStats } from "../../mod.ts";
import { pause } from "../setup/command.ts";
import { chunksOf, pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { alter, engine, hold, replaceMethod, watch } from "../support/engine.ts";
import { closeWith, create, small, testWriter } from "./create.ts";

const KIB = 1024;

testInOneDirectory("A small file takes a small buffer, and a large one whole ones", async (dir) => {
  const writer = await create(dir, { bufferSize: 256 * KIB });
  using writes = hold("write");
  await writer.write(pattern(64 * KIB));
  assertEquals(engine.pool.used, 64 * KIB);
  await writer.write(pattern(192 * KIB - 1, 64 * KIB));
  assertEquals([engine.pool.used, writes.count], [256 * KIB, 0]);
  await writer.write(pattern(1, 256 * KIB - 1));
  assertEquals(writes.count, 1);
  writes.letGo();
  await writer.write(pattern(100, 256 * KIB));
  // An idle log holds no memory.
  await writer.flushAligned({ tail: true });
  assertEquals(engine.pool.used, 0);
  await closeWith(writer, pattern(256 * KIB + 100));
});

testInOneDirectory("A buffer has whole blocks, also if they have 48 KiB", async (dir) => {
  using _isUnknown = replaceMethod("deviceOf", () => undefined);
  // The alignment that xfs reports for shared extents of this size on a realtime device.
  using _facts = alter("stat", ({ memory: { bytes } }) => bytes.set([0, 0xc0, 0, 0], 156));
  using _writes = watch("write", ({ memory, length }) => {
    assert(length <= memory.bytes.length, `${length} bytes of ${memory.bytes.length}`);
  });
  const writer = await create(dir);
  await writer.write(pattern(60_000));
  await closeWith(writer, pattern(60_000));
});

testWriter("A slow write holds up none behind it", small, async (writer) => {
  using first = hold("write", { only: ({ position }) => position === 0 });
  for (const chunk of chunksOf(pattern(100_000), 5000)) await writer.write(chunk);
  assertEquals([first.count, writer.currentPos, writer.currentFlushedPos], [1, 100_000, 0]);
  first.letGo();
  await closeWith(writer, pattern(100_000));
});

const exact = { ...small, preallocate: false };

testWriter("A flush waits for the buffers that are full by then", exact, async (writer) => {
  using second = hold("write", { only: ({ position }) => position === 4096 });
  assertEquals(await writer.flushAligned(), 0);
  await writer.write(pattern(5000));
  const flushes = [writer.flushAligned(), writer.sync()];
  await writer.write(pattern(5000, 5000));
  assertEquals(await Promise.all(flushes), [4096, 4096]);
  second.letGo();
  await closeWith(writer, pattern(10_000));
});

const single = { writeBehind: 1 };

for (const operation of ["write", "sync"] as const) {
  const name = `Syncs share a write: those at once, during its ${operation}, and the next ones`;
  testWriter(name, single, async (writer) => {
    const { writes } = ioStats();
    const start = (count: number) =>
      Array.from({ length: count }, async () => {
        for (let round = 0; round < 10; round++) {
          await writer.write(new Uint8Array(10));
          await writer.sync({ tail: true });
        }
      });
    using held = hold(operation);
    const tasks = start(10);
    await held.reach();
    tasks.push(...start(20));
    await pause(1);
    tasks.push(...start(20));
    held.letGo();
    await Promise.all(tasks);
    assertEquals(ioStats().writes - writes, 11);
    await closeWith(writer, new Uint8Array(5000));
  });
}
