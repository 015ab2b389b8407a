// Writers that nobody holds any more: nothing of them is left, and what is under way is not dropped.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, filled, joined, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf, eventually } from "../support/descriptors.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold } from "../support/interpose.ts";
import { collectGarbage } from "../support/leaks.ts";
import { create } from "./create.ts";

testInOneDirectory(
  "Writers that are dropped leak nothing, and their files are cut",
  async (dir) => {
    const drop = async () => {
      for (let index = 0; index < 20; index++) {
        const file = await DmaFile.create(dir.file(`file ${index}`));
        const stream = new DmaStreamWriter(file, { sizeHint: 1_000_000, bufferSize: 65_536 });
        await stream.write(pattern(200_001));
        if (index % 2 === 0) await stream.sync({ tail: true });
        if (index % 3 === 0) stream.getWriter();
      }
    };
    await drop();
    assert(descriptorsIn(dir.path) > 0 && engine.pool.blocks > 0);
    await eventually(async () => {
      await collectGarbage();
      return descriptorsIn(dir.path) === 0;
    });
    assertEquals(engine.pool.blocks, 0);
    for (let index = 0; index < 20; index++) {
      const bytes = await Deno.readFile(dir.file(`file ${index}`));
      if (index % 2 === 0) assertEquals(bytes.length, 200_001);
      assertEquals(bytes, pattern(bytes.length));
    }
  },
);

testInOneDirectory(
  "A writer that is dropped leaves a file that is held to its holder",
  async (dir) => {
    const file = await DmaFile.create(dir.file("file"));
    const drop = async () => {
      const stream = new DmaStreamWriter(file, { closeFile: false, bufferSize: 4096 });
      await stream.write(pattern(10_001));
      await stream.flushAligned();
    };
    await drop();
    await eventually(async () => {
      await collectGarbage();
      return engine.pool.blocks === 0;
    });
    let second: DmaStreamWriter | undefined;
    await eventually(() => {
      try {
        second = new DmaStreamWriter(file, { append: true });
        return true;
      } catch {
        return false;
      }
    });
    await second!.write(filled(5, 1));
    await second!.close();
    await assertFile(dir.file("file"), joined(pattern(8192), filled(5, 1)));
  },
);

testInOneDirectory("A writer whose work is under way is not collected", async (dir) => {
  const begin = async () => {
    const file = await DmaFile.create(dir.file("file"));
    const source = ReadableStream.from((async function* () {
      for (let index = 0; index < 5; index++) {
        await collectGarbage();
        yield pattern(10_000, index * 10_000);
      }
    })());
    return source.pipeTo(new DmaStreamWriter(file, { bufferSize: 4096 }));
  };
  await begin();
  await assertFile(dir.file("file"), pattern(50_000));
  using writes = hold("write");
  const writing = async () => {
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 1 });
    // In an object: a promise would be waited for before the stream is out of sight.
    return { written: stream.write(pattern(50_000)) };
  };
  const { written } = await writing();
  await collectGarbage();
  writes.letGo();
  await written;
  const closing = async () => {
    const stream = await create(dir);
    await stream.write(pattern(100_001));
    void stream.close();
  };
  await closing();
  await eventually(async () => {
    await collectGarbage();
    return descriptorsOf(dir.file("file")) === 0;
  });
  await assertFile(dir.file("file"), pattern(100_001));
});
