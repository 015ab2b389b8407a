// DmaStreamWriter on files that have bytes already: where it starts and ends, and what stays around it.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { assertFile, chunksOf, filled, joined, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
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

/** What a file of old bytes is after a write in it. */
function overwritten(length: number, position: number, bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.max(length, position + bytes.length));
  result.set(old(length));
  result.set(bytes, position);
  return result;
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
        const expected = overwritten(10_000, position, pattern(length));
        await assertFile(path, expected, `${length} bytes at ${position}`);
      }
    }
    assertEquals(engine.pool.blocks, 0);
  },
);

testInEachDirectory(
  "A sync with tail leaves the bytes after it, also before close",
  async (dir) => {
    const path = dir.file("file");
    for (const position of [0, 100, 4000, 4096]) {
      const writer = await onOld(path, 10_000, { position, bufferSize: 8192 });
      let written = 0;
      for (const part of [10, 400, 600, 5000]) {
        await writer.write(pattern(part, written));
        written += part;
        assertEquals(await writer.sync({ tail: true }), position + written);
        const expected = overwritten(10_000, position, pattern(written));
        assertEquals((await Deno.readFile(path)).subarray(0, expected.length), expected);
      }
      await writer.close();
      await assertFile(path, overwritten(10_000, position, pattern(written)));
    }
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

testInEachDirectory("A position past the end leaves a hole of zeros", async (dir) => {
  const path = dir.file("file");
  for (const position of [1001, 4096, 70_001]) {
    const writer = await onOld(path, 1000, { position });
    await writer.write(pattern(5000));
    await writer.close();
    await assertFile(path, overwritten(1000, position, pattern(5000)));
    const created = new DmaStreamWriter(await DmaFile.create(path), { position });
    await created.write(pattern(5000));
    await created.close();
    await assertFile(path, joined(new Uint8Array(position), pattern(5000)));
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

testInEachDirectory("A position past the end with nothing written leaves the file", async (dir) => {
  const path = dir.file("file");
  for (const position of [999, 1001, 4096, 70_001]) {
    const writer = await onOld(path, 1000, { position });
    await writer.close();
    await assertFile(path, old(1000));
  }
});

testInEachDirectory(
  "The longer file that was opened without truncate keeps its length",
  async (dir) => {
    const path = dir.file("file");
    for (const length of [4096, 5000]) {
      const writer = await onOld(path, 3_000_001);
      await writer.write(pattern(length));
      await writer.close();
      await assertFile(path, overwritten(3_000_001, 0, pattern(length)));
    }
  },
);

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
  await assertFile(path, overwritten(10_000, 1001, pattern(3000)));
});

testInEachDirectory("abort leaves the bytes around, and cuts to what is flushed", async (dir) => {
  const path = dir.file("file");
  for (const size of [0, 1000, 30_000]) {
    const writer = await onOld(path, size, { append: true, bufferSize: 4096, writeBehind: 2 });
    await writer.write(pattern(20_001));
    const flushed = await writer.flushAligned();
    assert(flushed > size && flushed < size + 20_001);
    await writer.abort();
    assertEquals(writer.currentFlushedPos, flushed);
    await assertFile(path, joined(old(size), pattern(flushed - size)), `after ${size}`);
  }
  const writer = await onOld(path, 30_000, { position: 100, bufferSize: 4096 });
  await writer.write(pattern(5000));
  const flushed = await writer.flushAligned();
  await writer.abort();
  await assertFile(path, overwritten(30_000, 100, pattern(flushed - 100)));
});

// ---- space ----------------------------------------------------------------------------------------------------

/** Elsewhere writes that extend a file are like any others, and its end stays with them. */
const movesEnd = ({ fileSystem }: TestDirectory) => ["ext4", "xfs"].includes(fileSystem);

testInEachDirectory("Space reserved ahead is freed at close", async (dir) => {
  const path = dir.file("file");
  const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: 1 << 20 });
  const bytes = pattern(9_000_001);
  await writer.write(bytes);
  await writer.flushAligned();
  // Written past 8 MiB: the end of the file is ahead of the bytes, as soon as the kernel has moved it.
  await eventually(async () => (await Deno.stat(path)).size > 9_000_001);
  await writer.close();
  const { size, blocks } = await Deno.stat(path);
  assertEquals(size, 9_000_001);
  assert(blocks! * 512 < 9_000_001 + (1 << 20));
  await assertFile(path, bytes);
}, { where: movesEnd });

testInEachDirectory("Space reserved ahead is freed at abort", async (dir) => {
  const path = dir.file("file");
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: 50_000_000 });
  await writer.write(pattern(5_000_000));
  const flushed = await writer.flushAligned();
  await writer.abort();
  assertEquals(flushed, 4 << 20);
  const { size, blocks } = await Deno.stat(path);
  assertEquals(size, flushed);
  assert(blocks! * 512 < flushed + (1 << 20));
  await assertFile(path, pattern(flushed));
});

testInEachDirectory("sizeHint reserves once, and what is not used is given back", async (dir) => {
  const path = dir.file("file");
  for (const length of [1000, 2_000_000, 10_000_000]) {
    const file = await DmaFile.create(path);
    const writer = new DmaStreamWriter(file, { sizeHint: 10_000_000, bufferSize: 262_144 });
    using steps = interpose("allocate", ({ pass }) => pass());
    await writer.write(pattern(length));
    await writer.close();
    assert(steps.count <= 1, `${steps.count} steps`);
    await assertFile(path, pattern(length));
    assert((await Deno.stat(path)).blocks! * 512 < length + (1 << 20));
  }
});

testInEachDirectory("More than sizeHint, and more than the disk has, may be said", async (dir) => {
  const path = dir.file("file");
  for (const sizeHint of [1, 100_000, 2 ** 45]) {
    const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint });
    await writer.write(pattern(3_000_001));
    await writer.close();
    await assertFile(path, pattern(3_000_001));
  }
});

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

testInEachDirectory("Bytes behind the end are zeros while the writer is open", async (dir) => {
  const path = dir.file("file");
  const writer = new DmaStreamWriter(await DmaFile.create(path));
  await writer.write(pattern(5_000_000));
  await writer.sync({ tail: true });
  const { length } = await Deno.readFile(path);
  await assertFile(path, joined(pattern(5_000_000), new Uint8Array(length - 5_000_000)));
  await writer.close();
});

// ---- several writers, sealing ---------------------------------------------------------------------------------

testInEachDirectory("Several writers one after the other share a file", async (dir) => {
  const path = dir.file("file");
  const file = await DmaFile.create(path);
  let position = 0;
  for (const length of [5000, 1, 4096, 100_000, 0, 777]) {
    const writer = new DmaStreamWriter(file, { position, closeFile: false });
    await writer.write(pattern(length, position));
    await writer.close();
    position += length;
    assertEquals(await file.size(), position);
  }
  // A later one in the middle cuts nothing.
  const middle = new DmaStreamWriter(file, { position: 3000, closeFile: false });
  await middle.write(filled(100, 1));
  await middle.close();
  const last = new DmaStreamWriter(file, { append: true, closeFile: false });
  await last.write(filled(10, 2));
  await last.close();
  assertEquals(descriptorsOf(path), 1);
  await file.close();
  const expected = joined(pattern(position), filled(10, 2));
  expected.fill(1, 3000, 3100);
  await assertFile(path, expected);
});

testInEachDirectory(
  "A far position with nothing written is nothing to the next writer",
  async (dir) => {
    const path = dir.file("file");
    const file = await DmaFile.create(path);
    for (const end of ["close", "abort"] as const) {
      const writer = new DmaStreamWriter(file, { position: 1_000_000, closeFile: false });
      await writer[end]();
      assertEquals(await file.size(), 0);
    }
    const writer = new DmaStreamWriter(file);
    await writer.write(pattern(5));
    await writer.close();
    await assertFile(path, pattern(5));
  },
);

testInEachDirectory("writeAt and a writer take turns", async (dir) => {
  const path = dir.file("file");
  const file = await DmaFile.create(path);
  await file.writeAt(filled(8192, 1), 0);
  const writer = new DmaStreamWriter(file, { position: 4100, closeFile: false });
  await writer.write(filled(10, 2));
  await writer.close();
  await file.writeAt(filled(4096, 3), 12_288);
  const again = new DmaStreamWriter(file, { position: 0 });
  await again.write(filled(5, 4));
  await again.close();
  const expected = joined(filled(8192, 1), new Uint8Array(4096), filled(4096, 3));
  expected.fill(2, 4100, 4110).fill(4, 0, 5);
  await assertFile(path, expected);
});

testInEachDirectory("Bytes that writeAt puts behind an open writer stay", async (dir) => {
  const path = dir.file("file");
  for (const create of [true, false]) {
    await Deno.writeFile(path, new Uint8Array());
    const file = await DmaFile.open(path, { write: true, truncate: create });
    const writer = new DmaStreamWriter(file);
    await writer.write(pattern(100));
    await file.writeAt(filled(4096, 7), 65_536);
    await writer.close();
    const expected = joined(pattern(100), new Uint8Array(65_436), filled(4096, 7));
    await assertFile(path, expected, create ? "truncated" : "opened");
  }
});

testInEachDirectory(
  "A writer that owns the size cuts what its file was extended by",
  async (dir) => {
    const file = await DmaFile.create(dir.file("file"));
    const writer = file.writable;
    await writer.write(pattern(5));
    await file.preallocate(100_000);
    await writer.close();
    await assertFile(dir.file("file"), pattern(5));
  },
);
