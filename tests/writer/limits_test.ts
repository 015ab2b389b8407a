// A process and its writers: what it may not do, and when it ends by itself.

import { assertEquals } from "@std/assert";
import { assertFile } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import "../support/engine.ts";

const MiB = 1024 * 1024;

testDirectAndCached(
  "A limit on the length of files does not hinder what stays below",
  async (dir) => {
    const path = dir.file("below");
    const limit = 8 * MiB;
    const { output } = await runChild(
      `
    const writer = new dma.DmaStreamWriter(await dma.DmaFile.create(${JSON.stringify(path)}));
    for (let index = 0; index < 7; index++) await writer.write(new Uint8Array(1 << 20).fill(1));
    await report(() => writer.close());
  `,
      { shell: `trap '' XFSZ; ulimit -f ${limit / 512}` },
    );
    // The reserve is asked for past the limit, is refused, and nobody needs to know.
    assertEquals(output, "ok undefined");
    await assertFile(path, new Uint8Array(7 * MiB).fill(1));
  },
);

testDirectAndCached(
  "A process ends by itself when its files are closed, and when they are not",
  async (dir) => {
    const ends = ["await writer.close();", "await file.close();", "await writer.abort();", ""];
    await Promise.all(ends.map(async (end, index) => {
      const { output, code } = await runChild(`
        const file = await dma.DmaFile.create(${JSON.stringify(dir.file(`${index}`))});
        const writer = file.writable;
        await writer.write(new Uint8Array(100_000));
        await writer.flushAligned();
        ${end}
        console.log("end");
      `);
      assertEquals([code, output], [0, "end"], end);
    }));
  },
);
