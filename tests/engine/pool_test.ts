// The memory of I/O buffers.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, ioStats } from "../../mod.ts";
import { sizeClass } from "../../src/engine/pool.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import "../support/engine.ts";

Deno.test("A block has at least the requested bytes, and at most a fifth more", () => {
  for (let size = 1; size < 40_000_000; size = Math.ceil(size * 1.037)) {
    const block = sizeClass(size);
    assertEquals(block % 4096, 0);
    assert(block >= size && block < size * 1.25 + 4096, `${block} bytes for ${size}`);
  }
  for (const size of [4096, 65_536, 1 << 20, 8 << 20]) assertEquals(sizeClass(size), size);
});

testInOneDirectory("Writes of many lengths share their memory", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  const { alignment: { offset } } = file;
  const before = ioStats();
  const writes: Promise<number>[] = [];
  let position = 0;
  for (let count = 1; count <= 200; count++) {
    const length = file.alignUp(count * 5000);
    writes.push(file.writeAt(new Uint8Array(length), position));
    position += length + offset;
  }
  const { poolBytes, poolBytesUsed } = ioStats();
  const used = poolBytesUsed - before.poolBytesUsed;
  const mapped = poolBytes - before.poolBytes;
  assert(used > 60 << 20, `${used} bytes in use`);
  assert(mapped < 2.5 * used, `${mapped} bytes mapped for ${used}`);
  await Promise.all(writes);
  await file.close();
});
