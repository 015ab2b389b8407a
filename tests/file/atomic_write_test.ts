// DmaFile.writeAt with `atomic`: whole or not at all, and refused where nobody promises that.

import { assertEquals, assertRejects } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";

testInEachDirectory("An atomic write is there, or is refused by name", async (dir) => {
  await using file = await DmaFile.create(dir.file("f"));
  await file.writeAt(pattern(65536), 0);
  const { min, max } = file.atomicWrite;
  const block = new Uint8Array(Math.max(min, 4096)).fill(7);
  if (max === 0) {
    const write = () => file.writeAt(block, 0, { atomic: true });
    await assertRejects(write, Deno.errors.NotSupported, "no atomic writes");
    assertEquals(await file.readAt(0, 65536), pattern(65536));
    return;
  }
  const { length } = block;
  assertEquals(await file.writeAt(block, length, { atomic: true }), length);
  const buffer = file.allocBuffer(length);
  buffer.bytes.fill(8);
  assertEquals(await file.writeAt(buffer, 3 * length, { atomic: true }), length);
  const expected = pattern(65536);
  expected.fill(7, length, 2 * length);
  expected.fill(8, 3 * length, 4 * length);
  assertEquals(await file.readAt(0, 65536), expected);
  assertEquals(buffer.bytes[0], 8);
});

testInEachDirectory(
  "An atomic write of another shape is refused, and nothing is written",
  async (dir) => {
    await using file = await DmaFile.create(dir.file("f"));
    const { min, max } = file.atomicWrite;
    if (max === 0) return;
    await file.writeAt(pattern(65536), 0);
    const write = (length: number, position: number) =>
      file.writeAt(new Uint8Array(length), position, { atomic: true });
    const shape = `a power of two from ${min} to ${max}`;
    await assertRejects(() => write(2 * max, 0), RangeError, shape);
    await assertRejects(() => write(3 * min, 0), RangeError, shape);
    await assertRejects(() => write(0, 0), RangeError, shape);
    if (max > min) {
      await assertRejects(() => write(2 * min, min), RangeError, `a multiple of ${2 * min}`);
    }
    assertEquals(await file.readAt(0, 65536), pattern(65536));
  },
);
