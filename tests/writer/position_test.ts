// DmaStreamWriter on files that have bytes already: where it starts and ends, and what stays around it.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { assertFile, chunksOf, filled, joined, overlaid, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { Errno, O_RDWR } from "../../src/engine/linux.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";

/** Bytes that the pattern never has in a row. */
const old = (length: number) => filled(length, 0xee);

/** A writer on a file that has `length` old bytes. */
async function onOld(
  path: string,
  length: number,
  options?: DmaStreamWriterOptions,
): Promise<DmaStreamWriter> {
  await Deno.writeFile(path, old(length));
  return new DmaStreamWriter(await DmaFile.open(path, { write: true }), options);
}

const edges = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8191, 9000];

testInEachDirectory(
  "Bytes before and after what is written stay, at every position",
  async (dir) => {
    const path = dir.file("file");
    for (const position of edges) {
      for (const length of [0, 1, 512, 3585, 4096, 9001]) {
        const writer = await onOld(path, 10_000, {
          position,
          bufferSize: 4096,
          writeBehind: 2,
          syncOnClose: false,
        });
        for (const chunk of chunksOf(pattern(length), 1500)) await writer.write(chunk);
        assertEquals(writer.currentPos, position + length);
        await writer.close();
        const expected = overlaid(old(10_000), pattern(length), position);
        await assertFile(path, expected, `${length} bytes at ${position}`);
      }
    }
    assertEquals(engine.pool.blocks, 0);
  },
);

testInEachDirectory("append starts at the end of the file, whatever its length", async (dir) => {
  const path = dir.file("file");
  for (const size of edges) {
    const writer = await onOld(path, size, { append: true, bufferSize: 4096, syncOnClose: false });
    await writer.write(pattern(100));
    assertEquals(writer.currentPos, size + 100);
    await writer.write(pattern(9000, 100));
    await writer.close();
    assertEquals(writer.currentFlushedPos, size + 9100);
    await assertFile(path, joined(old(size), pattern(9100)), `after ${size}`);
  }
});

testInEachDirectory("A hole before the position takes no space", async (dir) => {
  const path = dir.file("file");
  for (const sizeHint of [0, 4_000_000]) {
    const file = await DmaFile.create(path);
    const writer = new DmaStreamWriter(file, { position: 300_000_000, sizeHint });
    await writer.write(pattern(5_000_000));
    await writer.sync();
    assert((await file.stat()).blocks! * 512 < 100_000_000);
    await writer.close();
    const { size, blocks } = await Deno.stat(path);
    assertEquals(size, 305_000_000);
    assert(blocks! * 512 < 6_000_000, `${blocks} blocks`);
  }
});

testInEachDirectory("The longer file that was opened with truncate is cut", async (dir) => {
  const path = dir.file("file");
  for (const length of [0, 4096, 5000]) {
    await Deno.writeFile(path, old(3_000_001));
    const file = await DmaFile.open(path, { write: true, truncate: true });
    const writer = new DmaStreamWriter(file);
    await writer.write(pattern(length));
    await writer.close();
    await assertFile(path, pattern(length));
  }
});

testInEachDirectory(
  "A created file that was preallocated is cut to what is written",
  async (dir) => {
    const file = await DmaFile.create(dir.file("file"));
    await file.preallocate(1 << 20);
    const writer = new DmaStreamWriter(file);
    await writer.write(pattern(5000));
    await writer.close();
    await assertFile(dir.file("file"), pattern(5000));
  },
);

testInEachDirectory("A writer that may only write still keeps what stands around", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, old(10_000));
  const file = await DmaFile.open(path, { read: false, write: true });
  const writer = new DmaStreamWriter(file, { position: 1001 });
  await writer.write(pattern(3000));
  await writer.close();
  await assertFile(path, overlaid(old(10_000), pattern(3000), 1001));
});

// ---- space ----------------------------------------------------------------------------------------------------

testInEachDirectory(
  "Without preallocate the file is never longer than what is written",
  async (dir) => {
    const path = dir.file("file");
    const file = await DmaFile.create(path);
    const writer = new DmaStreamWriter(file, { preallocate: false, bufferSize: 1 << 20 });
    using steps = interpose("allocate", ({ pass }) => pass());
    let written = 0;
    for (const chunk of chunksOf(pattern(12_000_001), 1_000_003)) {
      await writer.write(chunk);
      written += chunk.length;
      assert((await Deno.stat(path)).size <= written);
    }
    assertEquals(await writer.sync({ tail: true }), written);
    // Not even by padding, once it is durable.
    assertEquals((await Deno.stat(path)).size, written);
    assertEquals(steps.count, 0);
    await writer.close();
    await assertFile(path, pattern(12_000_001));
  },
);

testInEachDirectory(
  "A writer keeps the bytes around its own in a file that may be written but not read",
  async (dir) => {
    const path = dir.file("file");
    // As the kernel does if the file's mode is 0222, but not for root.
    using denied = interpose("open", ({ operation, end, pass }) => {
      if (operation.flags & O_RDWR) end(-Errno.EACCES);
      else pass();
    });
    for (const options of [{ position: 1001 }, { append: true }]) {
      await Deno.writeFile(path, old(3000));
      const file = await DmaFile.open(path, { write: true, read: false });
      const writer = new DmaStreamWriter(file, options);
      await writer.write(pattern(100));
      await writer.close();
      await assertFile(path, overlaid(old(3000), pattern(100), options.position ?? 3000));
    }
    assert(denied.count >= 4);
  },
);
