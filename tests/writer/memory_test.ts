// The memory of streams: a bound for any number of them, and nothing of those that are dropped. The examples of servers
// show that it does not grow with the length of a file.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { CROWDED_BUFFER_SIZE, DEFAULT_BUFFER_BUDGET } from "../../src/engine/buffer_budget.ts";
import { assertFile, filled, joined, MIB, pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine, hold } from "../support/engine.ts";
import { collectGarbage, descriptorsIn, descriptorsOf, untilCollected } from "../support/leaks.ts";
import { closeWith, create, narrow } from "./create.ts";

const bytes = pattern(3 * MIB + 100);

testInOneDirectory("200 streams at once share their memory, and lose no byte", async (dir) => {
  await Deno.writeFile(dir.file("read"), bytes);
  let most = 0;
  await Promise.all(Array.from({ length: 100 }, async (_, index) => {
    const { readable } = await DmaFile.open(dir.file("read"));
    const { writable } = await DmaFile.create(dir.file(`${index}`));
    if (index % 10 > 0) await readable.pipeTo(writable, { preventClose: true });
    for await (const chunk of readable) {
      most = Math.max(most, ioStats().poolBytesUsed);
      await writable.write(chunk);
    }
    await closeWith(writable, bytes);
  }));
  const bound = DEFAULT_BUFFER_BUDGET + 200 * CROWDED_BUFFER_SIZE + 2 * MIB;
  assert(most <= bound, `${most} bytes of buffers were in use, ${bound} are allowed`);
  assertEquals(engine.budget.held, 0);
});

testInOneDirectory("Only default buffers shrink if others have the memory", async (dir) => {
  const mostFor = async (options?: { bufferSize: number; writeBehind: number }) => {
    const writer = await create(dir, options);
    using writes = hold("write");
    void writer.write(bytes);
    await writes.reach();
    const { used } = engine.pool;
    writes.letGo();
    await closeWith(writer, bytes);
    return used;
  };
  assert(await mostFor() > 3 * MIB);
  engine.budget.held += DEFAULT_BUFFER_BUDGET;
  using _ = { [Symbol.dispose]: () => engine.budget.held -= DEFAULT_BUFFER_BUDGET };
  assertEquals(await mostFor(), CROWDED_BUFFER_SIZE);
  assertEquals(await mostFor({ bufferSize: MIB, writeBehind: 2 }), 3 * MIB);
});

testInOneDirectory("Writers that are dropped leak nothing, and are cut", async (dir) => {
  const drop = async (index: number) => {
    const stream = await create(dir, { sizeHint: 1e6, bufferSize: 65_536 }, `file ${index}`);
    await stream.write(pattern(200_001));
    if (index % 2 === 0) await stream.sync({ tail: true });
    if (index % 3 === 0) stream.getWriter();
    if (index % 6 === 2) await (await stream.seal()).readAt(0, 10);
  };
  for (let index = 0; index < 20; index++) await drop(index);
  assert(descriptorsIn(dir.path) > 0 && engine.pool.blocks > 0);
  // Closes that run together use a block until all of them have ended.
  await untilCollected(() => descriptorsIn(dir.path) === 0 && engine.pool.blocks === 0);
  for (let index = 0; index < 20; index++) {
    const bytes = await Deno.readFile(dir.file(`file ${index}`));
    if (index % 2 === 0) assertEquals(bytes.length, 200_001);
    assertEquals(bytes, pattern(bytes.length));
  }
});

testInOneDirectory("A writer that is dropped leaves its holder the file", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  await (async () => {
    const stream = new DmaStreamWriter(file, { closeFile: false, bufferSize: 4096 });
    await stream.write(pattern(10_001));
    await stream.flushAligned();
  })();
  await untilCollected(() => engine.pool.blocks === 0);
  const second = new DmaStreamWriter(file, { append: true });
  await second.write(filled(5, 1));
  await second.close();
  await assertFile(file.path, joined(pattern(8192), filled(5, 1)));
});

testInOneDirectory("A writer whose work is under way is not collected", async (dir, path) => {
  await (async () => {
    const source = ReadableStream.from((async function* () {
      for (let index = 0; index < 5; index++) {
        await collectGarbage();
        yield pattern(10_000, index * 10_000);
      }
    })());
    return source.pipeTo(await create(dir, { bufferSize: 4096 }));
  })();
  await assertFile(path, pattern(50_000));
  using writes = hold("write");
  // In an object: a promise would be waited for before the stream is out of sight.
  const write = async () => ({ written: (await create(dir, narrow)).write(pattern(50_000)) });
  const { written } = await write();
  await collectGarbage();
  writes.letGo();
  await written;
  await (async () => {
    const stream = await create(dir);
    await stream.write(pattern(100_001));
    void stream.close();
  })();
  await untilCollected(() => descriptorsOf(path) === 0);
  await assertFile(path, pattern(100_001));
});
