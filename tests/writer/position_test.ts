// DmaStreamWriter on files that have bytes already: where it starts and ends, and what stays around it.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { Errno, O_RDWR } from "../../src/engine/linux.ts";
import { assertFile, chunksOf, filled, overlaid, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { fail, interpose } from "../support/interpose.ts";
import { closeWith, create, createOver, small } from "./create.ts";

/** Bytes that the pattern never has in a row. */
const old = (length: number) => filled(length, 0xee);

const edges = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8191, 9000];

testInEachDirectory("Bytes before and after what is written stay", async (dir) => {
  for (const position of edges) {
    for (const length of [0, 1, 512, 3585, 4096, 9001]) {
      const options = { ...small, position, syncOnClose: false };
      const writer = await createOver(dir.file("file"), old(10_000), options);
      for (const chunk of chunksOf(pattern(length), 1500)) await writer.write(chunk);
      assertEquals(writer.currentPos, position + length);
      const expected = overlaid(old(10_000), pattern(length), position);
      await closeWith(writer, expected, `${length} bytes at ${position}`);
    }
  }
  assertEquals(engine.pool.blocks, 0);
});

testInEachDirectory("A hole before the position takes no space", async (dir) => {
  for (const sizeHint of [0, 4_000_000]) {
    const writer = await create(dir, { position: 300_000_000, sizeHint });
    await writer.write(pattern(5_000_000));
    await writer.sync();
    assert((await writer.file.stat()).blocks! * 512 < 100_000_000);
    await writer.close();
    const { size, blocks } = await Deno.stat(dir.file("file"));
    assertEquals(size, 305_000_000);
    assert(blocks! * 512 < 6_000_000, `${blocks} blocks`);
  }
});

testInEachDirectory("A file that is the writer's own is cut to what is written", async (dir) => {
  const path = dir.file("file");
  for (const length of [0, 4096, 5000]) {
    await Deno.writeFile(path, old(3_000_001));
    const truncated = await DmaFile.open(path, { write: true, truncate: true });
    await truncated.writable.write(pattern(length));
    await closeWith(truncated.writable, pattern(length));
    const created = await DmaFile.create(path);
    await created.preallocate(1 << 20);
    await created.writable.write(pattern(length));
    await closeWith(created.writable, pattern(length));
  }
});

testInEachDirectory("A file that is rewritten while it is read comes to its end", async (dir) => {
  const path = dir.file("file");
  for (const size of [20 << 20, (12 << 20) + 100]) {
    await Deno.writeFile(path, old(size));
    const file = await DmaFile.open(path, { write: true });
    let read = 0;
    const change = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        controller.enqueue(pattern(chunk.length, read));
        read += chunk.length;
        if (read > size) throw new Error("What is read was not in the file");
      },
    });
    const reader = new DmaStreamReader(file, { readAhead: 0 });
    await reader.pipeThrough(change).pipeTo(file.writable);
    await assertFile(path, pattern(size));
  }
});

testInEachDirectory("A file open for writing only keeps what stands around", async (dir) => {
  const path = dir.file("file");
  for (const denied of [false, true]) {
    // As the kernel does if the file's mode is 0222, but not for root.
    using denials = fail("open", Errno.EACCES, ({ flags }) => denied && (flags & O_RDWR) !== 0);
    for (const options of [{ position: 1001 }, { append: true }]) {
      await Deno.writeFile(path, old(10_000));
      const file = await DmaFile.open(path, { read: false, write: true });
      const writer = new DmaStreamWriter(file, options);
      await writer.write(pattern(3000));
      const position = options.position ?? 10_000;
      await closeWith(writer, overlaid(old(10_000), pattern(3000), position));
    }
    assert(denials.count >= (denied ? 4 : 2));
  }
});

testInEachDirectory("Without preallocate a file is never longer than is written", async (dir) => {
  const path = dir.file("file");
  const writer = await create(dir, { preallocate: false, bufferSize: 1 << 20 });
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
  await closeWith(writer, pattern(12_000_001));
});
