// JavaScript code cannot reach memory that was freed or that the kernel uses: buffers are transferred, detached,
// resized, dropped and collected before, during and after every kind of I/O.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type DmaBuffer, DmaFile, DmaStreamReader } from "../../mod.ts";
import { loadShim } from "../../ffi/shim.ts";
import { Errno } from "../../src/engine/linux.ts";
import { Pool } from "../../src/engine/pool.ts";
import { assertFile, filled, MIB, openPattern, pattern } from "../support/bytes.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine, fail, hold, replaceMethod } from "../support/engine.ts";
import { collectGarbage } from "../support/leaks.ts";

const SIZE = 300_001;

/** A buffer with the pattern in it, and the ArrayBuffer under it. */
function filledBuffer(file: DmaFile, length: number): [DmaBuffer, ArrayBuffer] {
  const buffer = file.allocBuffer(length);
  buffer.bytes.set(pattern(length));
  return [buffer, buffer.bytes.buffer as ArrayBuffer];
}

/** A reader of views without read-ahead, which reads into the view itself. */
function viewReader(file: DmaFile, readAhead = 0): ReadableStreamBYOBReader {
  const stream = new DmaStreamReader(file, { readAhead, closeFile: false, bufferSize: 65_536 });
  return stream.getReader({ mode: "byob" });
}

testDirectAndCached("No memory of the pool ever reaches a user", async (dir) => {
  const pool: [from: number, to: number][] = [];
  const acquire = engine.acquire.bind(engine);
  using _ = replaceMethod("acquire", (size) => {
    const block = acquire(size);
    pool.push([block.address, block.address + block.bytes.length]);
    return block;
  });
  const file = await openPattern(dir.file("file"), SIZE, { write: true });
  const seen: Uint8Array[] = [await file.readAt(1, 100_000), await file.readAtAligned(0, 8192)];
  seen.push(await file.readAt(0, 2 * MIB), file.allocBuffer(8192).bytes);
  const ranges = [0, 5, 100_000].map((position) => ({ position, length: 20 }));
  for await (const { bytes } of file.readMany(ranges)) seen.push(bytes);
  for (const readAhead of [0, 4]) {
    const options = { readAhead, closeFile: false, bufferSize: 65_536 };
    seen.push(...await Array.fromAsync(new DmaStreamReader(file, options)));
    const reader = viewReader(file, readAhead);
    seen.push((await reader.read(new Uint8Array(50_000))).value!);
    await reader.cancel();
  }
  const buffer = file.allocBuffer(4096);
  await file.writeAt(buffer, 0);
  const sealed = await file.writable.seal();
  seen.push(buffer.bytes, ...await Promise.all([sealed.readAt(0, 99), sealed.readAt(5, 5)]));
  await file.close();
  assert(pool.length > 5 && seen.length > 10);
  for (const { buffer } of seen) {
    const bytes = new Uint8Array(buffer as ArrayBuffer);
    const at = Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)));
    const inside = pool.some(([from, to]) => at < to && at + bytes.length > from);
    assert(!inside, `${bytes.length} bytes at ${at} are the pool's`);
  }
});

testInOneDirectory("The kernel has a DmaBuffer for itself, and gives it back", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const [buffer, memory] = filledBuffer(file, 65_536);
  // Own properties hide those of the classes.
  Object.assign(memory, { transfer: () => memory });
  Object.defineProperty(buffer.bytes, "length", { value: 9 });
  const view = buffer.bytes;
  using held = hold("write");
  const writing = file.writeAt(buffer, 0);
  await held.reach();
  assertEquals([view.length, memory.detached, buffer.bytes.length], [0, true, 0]);
  assertEquals([buffer.bytes.buffer.byteLength, buffer.length], [0, 65_536]);
  assert(Deno.inspect(buffer).includes("in use"));
  buffer.bytes.fill(9);
  assertThrows(() => view.fill(9), TypeError);
  await assertRejects(() => file.writeAt(buffer, 0), TypeError, "is in use");
  await assertRejects(() => file.writable.writeBuffer(buffer), TypeError, "is in use");
  await collectGarbage();
  held.letGo();
  assertEquals(await writing, 65_536);
  assertEquals([buffer.bytes.slice(), view.length], [pattern(65_536), 0]);
  await assertFile(dir.file("file"), pattern(65_536));
  {
    using _ = fail("write", Errno.ENOSPC);
    await assertRejects(() => file.writeAt(buffer, 0), Error, "os error 28");
  }
  assertEquals(buffer.bytes.slice(), pattern(65_536));
  // The user takes the memory away.
  structuredClone(0, { transfer: [buffer.bytes.buffer as ArrayBuffer] });
  assertEquals([buffer.bytes.length, buffer.length], [0, 65_536]);
  await assertRejects(() => file.writeAt(buffer, 0), TypeError, "was transferred away");
  await assertRejects(() => file.writable.writeBuffer(buffer), TypeError, "was transferred away");
  await file.writable.write(pattern(10));
  await file.writable.flushAligned({ tail: true });
});

const shrink = (memory: ArrayBuffer) => memory.resize(6 * MIB);
const resizable = () => new ArrayBuffer(8 * MIB, { maxByteLength: 8 * MIB });

/** Bytes to write, and what happens to their memory meanwhile. */
const losses: [name: string, bytes: () => Uint8Array, take: (memory: ArrayBuffer) => void][] = [
  ["transfer()", () => new Uint8Array(8 * MIB), (memory) => void memory.transfer()],
  ["a shrink", () => new Uint8Array(resizable()), shrink],
  ["a shrink below the end", () => new Uint8Array(resizable(), 0, 8 * MIB), shrink],
];

testDirectAndCached("Bytes lost during writeAt are not written as something else", async (dir) => {
  // The buffers of the pool have a secret in them.
  await using secret = await DmaFile.create(dir.file("secret"));
  for (let count = 0; count < 8; count++) await secret.writeAt(filled(MIB, 7), 0);
  for (const [name, make, take] of losses) {
    await using file = await DmaFile.create(dir.file("file"));
    // While they are written, and before that: the write waits for the truncate.
    for (const op of ["write", "truncate"] as const) {
      const bytes = make();
      bytes.set(pattern(8 * MIB));
      using held = hold(op);
      const truncated = op === "truncate" && file.truncate();
      const writing = file.writeAt(bytes, 0);
      await held.reach();
      take(bytes.buffer as ArrayBuffer);
      held.letGo();
      await assertRejects(() => writing, TypeError, "detached", name);
      await truncated;
      const there = await Deno.readFile(file.path);
      assertEquals(there, pattern(there.length), name);
    }
    // While the options are read.
    const bytes = make();
    const options = {
      get atomic() {
        take(bytes.buffer as ArrayBuffer);
        return false;
      },
    };
    const written = file.writeAt(bytes, 0, options);
    // An array that tracks the length of its memory is written with its remaining length.
    if (name === "a shrink") assertEquals(await written, 6 * MIB);
    else await assertRejects(() => written, TypeError, "its buffer", name);
  }
  // Bytes that others share can be written.
  const shared = new Uint8Array(new SharedArrayBuffer(8192));
  shared.set(pattern(8192));
  assertEquals(await secret.writeAt(shared, 0), 8192);
  shared.fill(0);
  assertEquals(await secret.readAt(0, 8192), pattern(8192));
});

testInOneDirectory("I/O continues unharmed after its buffers are dropped", async (dir) => {
  await using file = await openPattern(dir.file("file"), SIZE, { write: true });
  using reads = hold("read");
  const results = [file.readAt(1, 100_000), file.readAtAligned(0, 65_536)];
  const view = file.allocBuffer(65_536).bytes as Uint8Array<ArrayBuffer>;
  const filling = viewReader(file).read(view);
  // This one is not awaited.
  file.readAt(4096, 200_000);
  await reads.reach(4);
  await collectGarbage();
  const rubbish = Array.from({ length: 50 }, () => filled(100_000, 99));
  reads.letGo();
  assertEquals(await Promise.all(results), [pattern(100_000, 1), pattern(65_536)]);
  assertEquals((await filling).value, pattern(65_536));
  using writes = hold("write");
  const written = file.writeAt(filledBuffer(file, 65_536)[0], 65_536);
  await writes.reach();
  await collectGarbage();
  rubbish.push(...Array.from({ length: 50 }, () => filled(65_536 + 4096, 99)));
  writes.letGo();
  assertEquals(await written, 65_536);
  assertEquals(await file.readAt(65_536, 65_536), pattern(65_536));
  assert(rubbish.every((bytes) => bytes.every((byte) => byte === 99)));
});

Deno.test("A block that is released after its pool was disposed of frees nothing", () => {
  const pool = new Pool(loadShim());
  const block = pool.acquire(8 * MIB);
  pool.dispose();
  const others = Array.from({ length: 6 }, () => pool.acquire(8 * MIB));
  for (const each of others) pool.release(each);
  const { mapped } = pool;
  pool.release(block);
  assertEquals(pool.mapped, mapped);
  pool.dispose();
});
