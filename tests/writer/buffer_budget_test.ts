// The memory that streams share: many at once hold little more than their budget, and numbers that were asked for are
// kept.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, ioStats } from "../../mod.ts";
import { CROWDED_BUFFER_SIZE, DEFAULT_BUFFER_BUDGET } from "../../src/engine/buffer_budget.ts";
import { chunksOf, pattern } from "../support/bytes.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { closeWith, create } from "./create.ts";

const KIB = 1024;
const MIB = 1 << 20;

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

testInOneDirectory("Explicit buffer sizes do not depend on other streams", async (dir) => {
  engine.budget.take(DEFAULT_BUFFER_BUDGET);
  try {
    const writer = await create(dir, { bufferSize: MIB, writeBehind: 2 });
    const before = ioStats().poolBytesUsed;
    const asked = bytes.subarray(0, 2 * MIB + 100);
    await writer.write(asked);
    assertEquals(ioStats().poolBytesUsed - before, 3 * MIB);
    await closeWith(writer, asked);
  } finally {
    engine.budget.giveBack(DEFAULT_BUFFER_BUDGET);
  }
});
