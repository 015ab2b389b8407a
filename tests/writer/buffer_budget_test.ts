// The memory that streams share: many at once hold little more than their budget, and numbers that were asked for are
// kept.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { CROWDED_BUFFER_SIZE, DEFAULT_BUFFER_BUDGET } from "../../src/engine/buffer_budget.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";

const KIB = 1024;
const MIB = 1 << 20;

testInOneDirectory(
  "100 writers at once share their memory, and all their bytes arrive",
  async (dir) => {
    const length = 3 * MIB + 100;
    const bytes = pattern(length);
    let most = 0;
    const writeOne = async (path: string) => {
      const writer = new DmaStreamWriter(await DmaFile.create(path));
      for (let at = 0; at < length; at += 64 * KIB) {
        await writer.write(bytes.subarray(at, at + 64 * KIB));
        most = Math.max(most, ioStats().poolBytesUsed);
      }
      await writer.close();
    };
    const paths = Array.from({ length: 100 }, (_, index) => dir.file(`shared ${index}`));
    await Promise.all(paths.map(writeOne));
    const bound = DEFAULT_BUFFER_BUDGET + 100 * CROWDED_BUFFER_SIZE + 2 * MIB;
    assert(most <= bound, `${most} bytes of buffers were in use, ${bound} are allowed`);
    assertEquals(engine.budget.held, 0);
    for (const path of paths) await assertFile(path, bytes);
  },
);

testInOneDirectory("buffers that were asked for are there whatever others hold", async (dir) => {
  engine.budget.take(DEFAULT_BUFFER_BUDGET);
  try {
    const path = dir.file("asked for");
    const options = { bufferSize: MIB, writeBehind: 2 };
    const writer = new DmaStreamWriter(await DmaFile.create(path), options);
    const before = ioStats().poolBytesUsed;
    const bytes = pattern(2 * MIB + 100);
    await writer.write(bytes);
    assertEquals(ioStats().poolBytesUsed - before, 3 * MIB);
    await writer.close();
    await assertFile(path, bytes);
  } finally {
    engine.budget.giveBack(DEFAULT_BUFFER_BUDGET);
  }
});

testInOneDirectory(
  "100 readers at once share their memory, and get all their bytes",
  async (dir) => {
    const length = 3 * MIB + 100;
    const bytes = pattern(length);
    await Deno.writeFile(dir.file("read"), bytes);
    let most = 0;
    const readOne = async () => {
      let at = 0;
      for await (const chunk of new DmaStreamReader(await DmaFile.open(dir.file("read")))) {
        assertEquals(chunk[0], bytes[at]);
        assertEquals(chunk.at(-1), bytes[at + chunk.length - 1]);
        at += chunk.length;
        most = Math.max(most, ioStats().poolBytesUsed);
      }
      assertEquals(at, length);
    };
    await Promise.all(Array.from({ length: 100 }, readOne));
    const bound = DEFAULT_BUFFER_BUDGET + 100 * CROWDED_BUFFER_SIZE + 2 * MIB;
    assert(most <= bound, `${most} bytes of buffers were in use, ${bound} are allowed`);
    assertEquals(engine.budget.held, 0);
  },
);
