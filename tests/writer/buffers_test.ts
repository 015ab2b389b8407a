// How a writer fills its buffers and starts writes: nothing waits without need, callers share operations, and memory is
// bounded.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, ioStats } from "../../mod.ts";
import { CROWDED_BUFFER_SIZE, DEFAULT_BUFFER_BUDGET } from "../../src/engine/buffer_budget.ts";
import { pause } from "../setup/command.ts";
import { chunksOf, pattern } from "../support/bytes.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold } from "../support/interpose.ts";
import { closeWith, create, small, testWriter } from "./create.ts";

const KIB = 1024;
const MIB = 1 << 20;

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

testWriter("A slow write holds up none behind it", small, async (writer) => {
  using first = hold("write", { only: ({ position }) => position === 0 });
  for (const chunk of chunksOf(pattern(100_000), 5000)) await writer.write(chunk);
  assertEquals([first.count, writer.currentPos, writer.currentFlushedPos], [1, 100_000, 0]);
  first.letGo();
  await closeWith(writer, pattern(100_000));
});

testWriter("A flush waits for the buffers that are full by then", small, async (writer) => {
  using second = hold("write", { only: ({ position }) => position === 4096 });
  assertEquals(await writer.flushAligned(), 0);
  await writer.write(pattern(5000));
  const flushes = [writer.flushAligned(), writer.sync()];
  await writer.write(pattern(5000, 5000));
  assertEquals(await Promise.all(flushes), [4096, 4096]);
  second.letGo();
  await closeWith(writer, pattern(10_000));
});

// ---- callers that share an operation ------------------------------------------------------------------------------

const single = { writeBehind: 1 };

for (const operation of ["write", "sync"] as const) {
  testWriter(
    `Syncs at once share a write, as do those during its ${operation}`,
    single,
    async (writer) => {
      const { writes } = ioStats();
      const ask = (count: number) =>
        Array.from({ length: count }, async () => {
          await writer.write(new Uint8Array(10));
          return await writer.sync({ tail: true });
        });
      using held = hold(operation);
      const first = ask(10);
      await held.reach();
      const others = ask(40);
      await pause(1);
      others.push(...ask(50));
      held.letGo();
      assertEquals(await Promise.all(first), Array(10).fill(100));
      assertEquals(await Promise.all(others), Array(90).fill(1000));
      assertEquals(ioStats().writes - writes, 2);
      await closeWith(writer, new Uint8Array(1000));
    },
  );
}

testWriter("Callers that come back after a sync share the next one", single, async (writer) => {
  const { writes } = ioStats();
  const task = async () => {
    for (let round = 0; round < 10; round++) {
      await writer.write(new Uint8Array(10));
      await writer.sync({ tail: true });
    }
  };
  using held = hold("write");
  const tasks = [task()];
  await held.reach();
  // They begin while the first one is served.
  for (let count = 0; count < 49; count++) tasks.push(task());
  held.letGo();
  await Promise.all(tasks);
  assertEquals(ioStats().writes - writes, 11);
  await closeWith(writer, new Uint8Array(5000));
});

// ---- memory that streams share --------------------------------------------------------------------------------------

const LENGTH = 3 * MIB + 100;
const bytes = pattern(LENGTH);

/** What each of many streams does, beside a file "read" with all bytes. It calls `look` while it has its memory. */
type Use = (dir: TestDirectory, index: number, look: () => void) => Promise<void>;

const streams: Record<string, Use> = {
  writers: async (dir, index, look) => {
    const writer = await create(dir, {}, `written ${index}`);
    for (const chunk of chunksOf(bytes, 64 * KIB)) {
      await writer.write(chunk);
      look();
    }
    await closeWith(writer, bytes);
  },
  readers: async (dir, _index, look) => {
    let at = 0;
    for await (const chunk of (await DmaFile.open(dir.file("read"))).readable) {
      assertEquals([chunk[0], chunk.at(-1)], [bytes[at], bytes[at + chunk.length - 1]]);
      at += chunk.length;
      look();
    }
    assertEquals(at, LENGTH);
  },
};

for (const [name, use] of Object.entries(streams)) {
  testInOneDirectory(`100 ${name} at once share their memory, and lose no byte`, async (dir) => {
    let most = 0;
    const look = () => most = Math.max(most, ioStats().poolBytesUsed);
    await Deno.writeFile(dir.file("read"), bytes);
    await Promise.all(Array.from({ length: 100 }, (_, index) => use(dir, index, look)));
    const bound = DEFAULT_BUFFER_BUDGET + 100 * CROWDED_BUFFER_SIZE + 2 * MIB;
    assert(most <= bound, `${most} bytes of buffers were in use, ${bound} are allowed`);
    assertEquals(engine.budget.held, 0);
  });
}

testInOneDirectory(
  "Only default buffers shrink while other streams have the memory",
  async (dir) => {
    engine.budget.take(DEFAULT_BUFFER_BUDGET);
    const mostFor = async (options?: { bufferSize: number; writeBehind: number }) => {
      const writer = await create(dir, options);
      using writes = hold("write");
      const written = writer.write(bytes);
      await writes.reach();
      const { used } = engine.pool;
      writes.letGo();
      await written;
      await closeWith(writer, bytes);
      return used;
    };
    try {
      assertEquals(await mostFor(), CROWDED_BUFFER_SIZE);
      assertEquals(await mostFor({ bufferSize: MIB, writeBehind: 2 }), 3 * MIB);
    } finally {
      engine.budget.giveBack(DEFAULT_BUFFER_BUDGET);
    }
    assert(await mostFor() > 3 * MIB);
  },
);
