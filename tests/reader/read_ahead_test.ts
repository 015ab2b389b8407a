// What the read-ahead core reads and when, where it does not read, and what of its buffers it gives away. On an engine that
// holds, shortens and fails operations. That its bytes are right the simulator proves.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { BufferBudget, CROWDED_BUFFER_SIZE } from "../../src/engine/buffer_budget.ts";
import { pattern } from "../support/bytes.ts";
import { turn } from "../support/scripted_engine.ts";
import { Rig } from "./rig.ts";

const EIO = 5;
const MIB = 1 << 20;

Deno.test("ReadAhead reads nothing before it is asked", async () => {
  const rig = new Rig();
  await turn();
  assertEquals(rig.engine.describePending(), "nothing");
  assertEquals(rig.peek(), undefined);
  assertEquals(rig.reading, [0, 1024]);
  await rig.cancel();
});

Deno.test("ReadAhead starts the next read as soon as a buffer was given out", async () => {
  const rig = new Rig({ size: 100_000, readAhead: 3 });
  rig.peek();
  rig.engine.completeAll();
  for (let count = 1; count < 20; count++) {
    rig.take(1000);
    rig.take(1000);
    assertEquals(rig.core.buffers, 3);
    assertEquals(rig.reading, [(count + 2) * 1024]);
    rig.engine.completeAll();
  }
  await rig.cancel();
});

Deno.test("ReadAhead with readAhead 0 reads only what is asked for, one buffer at a time", async () => {
  const rig = new Rig({ readAhead: 0 });
  for (let position = 0; position < 4096; position += 1024) {
    assertEquals(rig.peek(), undefined);
    assertEquals(rig.reading, [position]);
    rig.engine.completeAll();
    rig.take();
    await turn();
    assertEquals(rig.engine.describePending(), "nothing");
  }
  await rig.finish(5000);
});

Deno.test("ReadAhead reads no block behind the end of its range", async () => {
  const rig = new Rig({ size: 100_000, start: 100, end: 3000, readAhead: 8 });
  await rig.finish(3000);
  assertEquals(rig.engine.counters.bytesRead, 3072);
  assertEquals(rig.engine.counters.reads, 3);
});

Deno.test("ReadAhead asks for the end of the file once, and not at all if a read will show it", async () => {
  for (
    const [size, reads] of [[0, 1], [1, 1], [1024, 2], [1025, 2], [4096, 5], [5000, 5]] as const
  ) {
    const rig = new Rig({ size, readAhead: 8 });
    await rig.finish(size);
    assertEquals(rig.engine.counters.reads, reads, `${size} bytes`);
  }
});

Deno.test("ReadAhead never tires of a file that grows a little while it is read", async () => {
  const rig = new Rig({ size: 100, readAhead: 1 });
  const file = rig.engine.file(rig.file.fd);
  for (let size = 100; size < 500; size += 10) {
    rig.peek();
    // The read comes too early for bytes of which the stat knows.
    rig.engine.complete(rig.engine.only("read"));
    file.write(size, pattern(10, size));
    rig.engine.complete(rig.engine.only("stat"));
    await turn();
  }
  await rig.finish(500);
});

Deno.test("ReadAhead reads what a file has grown by, in whole buffers", async () => {
  const rig = new Rig({ size: 1024 });
  rig.peek();
  rig.engine.file(rig.file.fd).write(1024, pattern(100_000, 1024));
  await rig.finish(101_024);
  const reads = rig.engine.log.filter((line) => line.startsWith("read"));
  assert(reads.length < 110, `${reads.length} reads of a file of 101,024 bytes`);
});

Deno.test("ReadAhead has one buffer of 256 KiB while what streams share is spent, and more afterwards", async () => {
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
  assertEquals(budget.held, 0);
});

Deno.test("ReadAhead starts no read behind a failure", async () => {
  const rig = new Rig({ readAhead: 3 });
  rig.peek();
  const [first, second, third] = rig.engine.pendingOf("read");
  rig.engine.complete(first!);
  rig.engine.complete(second!);
  rig.engine.complete(third!, -EIO);
  rig.take();
  rig.take();
  assertThrows(() => rig.peek(), Error, "os error 5");
  assertEquals(rig.engine.describePending(), "nothing");
  await rig.cancel();
});

Deno.test("ReadAhead skips over what cannot be read, and goes on", async () => {
  const rig = new Rig({ readAhead: 1 });
  rig.peek();
  rig.engine.complete(rig.engine.only("read"), -EIO);
  assertThrows(() => rig.peek(), Error, "os error 5");
  rig.core.skip(1024);
  await rig.finish(5000);
});

Deno.test("ReadAhead gives away whole buffers of which nothing was given out", async () => {
  const rig = new Rig({ size: 5000, readAhead: 4, bufferSize: 1024 });
  assertEquals(rig.core.takeBlock(512), undefined);
  rig.peek();
  rig.engine.completeAll();
  await turn();
  const taken = rig.core.takeBlock(512);
  assertEquals(taken?.length, 1024);
  assertEquals(rig.core.position, 1024);
  assertEquals(rig.core.takeBlock(4096), undefined, "not for larger blocks");
  rig.take(10);
  assertEquals(rig.core.takeBlock(512), undefined, "not when a part of it was given out");
  rig.take();
  rig.core.skip(1);
  assertEquals(rig.core.takeBlock(512), undefined, "not behind a skip");
  await rig.rest();
  assertEquals([rig.core.position, rig.core.takeBlock(512)], [5000, undefined]);
  rig.engine.release(taken!.block);
  await rig.cancel();
});

Deno.test("ReadAhead gives no buffer away that reaches behind the end of the range", async () => {
  const rig = new Rig({ end: 1500 });
  rig.peek();
  rig.engine.completeAll();
  rig.engine.release(rig.core.takeBlock(512)!.block);
  assertEquals(rig.core.takeBlock(512), undefined);
  await rig.finish(1500);
});

Deno.test("ReadAhead gives the part of a buffer that was read before the failure", async () => {
  const rig = new Rig({ bufferSize: 2048 });
  rig.peek();
  const read = () => rig.engine.pendingOf("read")[0]!;
  rig.engine.complete(read(), 700);
  rig.engine.complete(rig.engine.only("stat"));
  await turn();
  const rest = rig.engine.pendingOf("read").find(({ position }) => position === 512);
  rig.engine.complete(rest!, -EIO);
  assertEquals(rig.take(), 512);
  assertThrows(() => rig.peek(), Error, "os error 5");
  await rig.cancel();
});

Deno.test("ReadAhead gives what it has of a file that was closed, then the error", async () => {
  const rig = new Rig();
  rig.peek();
  rig.engine.completeAll();
  await rig.engine.drive(rig.file.descriptor.close());
  rig.take();
  rig.take();
  const error = await rig.rest().then(() => undefined, (error) => error);
  assertEquals([error?.code, error?.message.includes("the file is closed")], ["EBADF", true]);
  await rig.engine.drive(rig.core.cancel());
  rig.assertFree();
});
