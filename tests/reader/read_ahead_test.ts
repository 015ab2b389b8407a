// The reads of the read-ahead core, and the buffers that it passes on, on an engine that holds, shortens and fails
// operations. The simulator checks its bytes.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { BufferBudget, CROWDED_BUFFER_SIZE } from "../../src/engine/buffer_budget.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pattern } from "../support/bytes.ts";
import { turn } from "../support/scripted_engine.ts";
import { Rig, testRig } from "./rig.ts";

const MIB = 1 << 20;

/** Throws unless the next bytes could not be read. */
function assertFails(rig: Rig): void {
  assertThrows(() => rig.peek(), Error, "os error 5");
}

const three = { size: 100_000, readAhead: 3 };

testRig("starts the next read as soon as a buffer was given out", three, (rig) => {
  rig.peek();
  rig.engine.completeAll();
  for (let count = 1; count < 20; count++) {
    rig.take(1000);
    rig.take(1000);
    assertEquals([rig.core.buffers, rig.reading], [3, [(count + 2) * 1024]]);
    rig.engine.completeAll();
  }
});

testRig("with readAhead 0 reads only on demand", { readAhead: 0 }, async (rig) => {
  for (let position = 0; position < 4096; position += 1024) {
    assertEquals([rig.peek(), rig.reading], [undefined, [position]]);
    rig.engine.completeAll();
    rig.take();
    await turn();
    assertEquals(rig.engine.pending, []);
  }
  await rig.finish(5000);
});

const part = { size: 100_000, start: 100, end: 3000, readAhead: 8 };

testRig("reads no block behind the end of its range", part, async (rig) => {
  await rig.finish(3000);
  const { bytesRead, reads } = rig.engine.counters;
  assertEquals([bytesRead, reads], [3072, 3]);
});

for (const [size, reads] of [[0, 1], [1, 1], [1024, 2], [1025, 2], [4096, 5], [5000, 5]] as const) {
  // It requests the length of the file once, and not at all if a read will show it.
  testRig(`reads ${size} bytes by ${reads} reads`, { size, readAhead: 8 }, async (rig) => {
    await rig.finish(size);
    assertEquals(rig.engine.counters.reads, reads);
  });
}

testRig("never tires of a file that grows meanwhile", { size: 100, readAhead: 1 }, async (rig) => {
  const file = rig.engine.file(rig.file.fd);
  for (let size = 100; size < 500; size += 10) {
    rig.peek();
    // The read ended before bytes were appended that the stat includes.
    rig.end("read");
    file.write(size, pattern(10, size));
    rig.end("stat");
    await turn();
  }
  await rig.finish(500);
});

testRig("reads what a file has grown by, in whole buffers", { size: 1024 }, async (rig) => {
  rig.peek();
  rig.engine.file(rig.file.fd).write(1024, pattern(100_000, 1024));
  await rig.finish(101_024);
  const { reads } = rig.engine.counters;
  assert(reads < 110, `${reads} reads of a file of 101,024 bytes`);
});

Deno.test("ReadAhead has one small buffer while what streams share is spent, and more afterwards", async () => {
  const budget = new BufferBudget(64 * MIB);
  budget.take(64 * MIB);
  const rig = new Rig({ size: 8 * MIB, bufferSize: MIB, readAhead: 2, budget });
  const reading = () =>
    rig.engine.pendingOf("read").map(({ position, length }) => [position, length]);
  rig.peek();
  assertEquals(reading(), [[0, CROWDED_BUFFER_SIZE]]);
  rig.engine.completeAll();
  rig.take();
  assertEquals(reading(), [[CROWDED_BUFFER_SIZE, CROWDED_BUFFER_SIZE]]);
  budget.giveBack(64 * MIB);
  rig.engine.completeAll();
  rig.take();
  const next = 2 * CROWDED_BUFFER_SIZE;
  assertEquals(reading(), [[next, MIB], [next + MIB, MIB]]);
  assertEquals(budget.held, 2 * MIB);
  await rig.finish(8 * MIB);
  await rig.cancel();
  assertEquals(budget.held, 0);
});

// ---- failures -----------------------------------------------------------------------------------------------------

testRig("starts no read behind a failure", { readAhead: 3 }, (rig) => {
  rig.peek();
  const [first, second, third] = rig.engine.pendingOf("read");
  rig.engine.complete(first!);
  rig.engine.complete(second!);
  rig.engine.complete(third!, -Errno.EIO);
  rig.take();
  rig.take();
  assertFails(rig);
  assertEquals(rig.engine.pending, []);
});

testRig("skips an unreadable range, and continues", { readAhead: 1 }, async (rig) => {
  rig.peek();
  rig.end("read", -Errno.EIO);
  assertFails(rig);
  rig.core.skip(1024);
  await rig.finish(5000);
});

testRig("gives the part that was read before a failure", { bufferSize: 2048 }, async (rig) => {
  rig.peek();
  rig.engine.complete(rig.engine.pendingOf("read")[0]!, 700);
  rig.end("stat");
  await turn();
  const rest = rig.engine.pendingOf("read").find(({ position }) => position === 512);
  rig.engine.complete(rest!, -Errno.EIO);
  assertEquals(rig.take(), 512);
  assertFails(rig);
});

Deno.test("ReadAhead gives what it has of a file that was closed, then the error", async () => {
  const rig = new Rig();
  rig.peek();
  rig.engine.completeAll();
  await rig.engine.drive(rig.file.close());
  rig.take();
  rig.take();
  const error = await rig.rest().then(() => undefined, (error) => error);
  assertEquals([error?.code, error?.message.includes("the file is closed")], ["EBADF", true]);
  await rig.engine.drive(rig.core.cancel());
  rig.assertFree();
});

// ---- buffers that are passed on ----------------------------------------------------------------------------------

const four = { readAhead: 4, bufferSize: 1024 };

testRig("gives away whole buffers of which nothing was given out", four, async (rig) => {
  assertEquals(rig.core.takeBlock(512), undefined);
  rig.peek();
  rig.engine.completeAll();
  await turn();
  const taken = rig.core.takeBlock(512);
  assertEquals([taken?.length, rig.core.position], [1024, 1024]);
  assertEquals(rig.core.takeBlock(4096), undefined, "not for larger blocks");
  rig.take(10);
  assertEquals(rig.core.takeBlock(512), undefined, "not when a part of it was given out");
  rig.take();
  rig.core.skip(1);
  assertEquals(rig.core.takeBlock(512), undefined, "not behind a skip");
  await rig.finish(5000);
  assertEquals(rig.core.takeBlock(512), undefined);
  rig.engine.release(taken!.block);
});

testRig("gives away no buffer that reaches behind its range", { end: 1500 }, async (rig) => {
  rig.peek();
  rig.engine.completeAll();
  rig.engine.release(rig.core.takeBlock(512)!.block);
  assertEquals(rig.core.takeBlock(512), undefined);
  await rig.finish(1500);
});
