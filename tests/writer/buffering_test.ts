// How a writer fills buffers and starts writes: nothing waits that need not.

import { assert, assertEquals } from "@std/assert";
import { BufferBudget, CROWDED_BUFFER_SIZE } from "../../src/engine/buffer_budget.ts";
import { turn } from "../support/scripted_engine.ts";
import { Rig, watch } from "./rig.ts";

const KIB = 1024;
const MIB = 1 << 20;

Deno.test("Writer: a small file takes no more than a small buffer", async () => {
  const rig = await Rig.make({ bufferSize: 1024 * KIB });
  rig.fill(100);
  assertEquals(rig.engine.mostBytes, 64 * KIB);
  await rig.finish();
});

Deno.test("Writer: the first buffer grows to a full one, and is written as one", async () => {
  const rig = await Rig.make({ bufferSize: 256 * KIB });
  rig.fill(64 * KIB);
  rig.fill(1);
  assertEquals(rig.writing, []);
  rig.fill(192 * KIB - 1);
  assertEquals(rig.writing, [[0, 256 * KIB]]);
  rig.fill(100);
  assert(rig.engine.mostBytes <= 2 * 256 * KIB + 64 * KIB);
  await rig.finish();
});

Deno.test("Writer: the first buffer grows behind a tail that is whole", async () => {
  const rig = await Rig.make({ bufferSize: 256 * KIB });
  rig.fill(5000);
  await rig.engine.drive(rig.writer.sync(true));
  rig.fill(251 * KIB);
  await rig.finish();
  // Every whole block went once, and the one in which the tail ended twice.
  assertEquals(rig.engine.counters.bytesWritten, 256 * KIB + 512);
});

Deno.test("Writer: a first buffer that is smaller than a block is a block", async () => {
  const rig = await Rig.make({ bufferSize: 256 * KIB, alignment: 128 * KIB });
  rig.fill(100 * KIB);
  await rig.engine.drive(rig.writer.sync(true));
  rig.fill(3 * KIB);
  await rig.finish();
});

Deno.test("Writer: a full buffer is on its way before the next byte comes", async () => {
  const rig = await Rig.make();
  rig.fill(1023);
  assertEquals(rig.writing, []);
  rig.fill(1);
  assertEquals(rig.writing, [[0, 1024]]);
  await rig.finish();
});

Deno.test("Writer: room is there as soon as any write completes, not only the first", async () => {
  const rig = await Rig.make();
  rig.write(10_000);
  const room = watch(rig.writer.room());
  await turn();
  assertEquals(room.state, "pending");
  rig.engine.complete(rig.engine.pending[1]!);
  await turn();
  assertEquals(room.state, "resolved");
  assertEquals(rig.write(10_000), 1024);
  // A slow head does not stop those behind it.
  for (let count = 0; count < 20; count++) {
    rig.engine.complete(rig.engine.pending.at(-1)!);
    assertEquals(rig.write(10_000), 1024);
  }
  assertEquals(rig.writer.flushedPosition, 0);
  await rig.finish();
});

Deno.test("Writer: flush waits for the buffers that are full when it is called, and for no others", async () => {
  const rig = await Rig.make({ writeBehind: 4 });
  const nothing = watch(rig.writer.flush(false));
  rig.fill(1500);
  const first = watch(rig.writer.flush(false));
  rig.fill(1500);
  const both = watch(rig.writer.flush(false));
  await turn();
  assertEquals([nothing.state, nothing.value], ["resolved", 0]);
  assertEquals([first.state, both.state], ["pending", "pending"]);
  rig.engine.complete(rig.engine.pending[1]!);
  await turn();
  assertEquals([first.state, both.state], ["pending", "pending"]);
  rig.engine.complete(rig.engine.pending[0]!);
  await turn();
  assertEquals([first.value, both.value], [2048, 2048]);
  await rig.finish();
});

Deno.test("Writer: a tail is one write, and the next one starts with the block in which it ended", async () => {
  const rig = await Rig.make({ bufferSize: 4096 });
  rig.fill(1300);
  const first = rig.writer.sync(true);
  await turn();
  assertEquals(rig.writing, [[0, 1536]]);
  await rig.engine.drive(first);
  rig.fill(100);
  const second = rig.writer.sync(true);
  await turn();
  assertEquals(rig.writing, [[1024, 512]]);
  await rig.engine.drive(second);
  await rig.finish();
});

Deno.test("Writer: filling goes on while a tail waits for a place, and the tail has all of it", async () => {
  const rig = await Rig.make({ writeBehind: 1 });
  rig.fill(1024 + 100);
  const synced = watch(rig.writer.sync(true));
  await turn();
  rig.fill(600);
  assertEquals(rig.writing, [[0, 1024]]);
  rig.engine.complete(rig.engine.only("write"));
  await turn();
  assertEquals(rig.writing, [[1024, 1024]]);
  await rig.engine.drain();
  assertEquals(synced.value, 1724);
  await rig.finish();
});

Deno.test("Writer: a writer whose bytes are all in the file holds no buffer", async () => {
  const budget = new BufferBudget();
  const rig = await Rig.make({ bufferSize: 4096, budget });
  rig.fill(1300);
  assertEquals(budget.held, 4096);
  await rig.engine.drive(rig.writer.flush(true));
  assertEquals(budget.held, 0);
  rig.fill(10);
  await rig.finish();
});

Deno.test("Writer: with a budget to spare, buffers are as large and as many as they should be", async () => {
  const budget = new BufferBudget(64 * MIB);
  const rig = await Rig.make({ bufferSize: MIB, writeBehind: 2, budget });
  rig.fill(3 * MIB);
  assertEquals(rig.writing, [[0, MIB], [MIB, MIB]]);
  assertEquals(budget.held, 3 * MIB);
  await rig.finish();
  assertEquals(budget.held, 0);
});

Deno.test("Writer: with a budget that is spent there is one buffer of 256 KiB, which fills and then flies", async () => {
  const budget = new BufferBudget(0);
  const rig = await Rig.make({ bufferSize: MIB, writeBehind: 4, budget });
  rig.fill(CROWDED_BUFFER_SIZE);
  assertEquals(rig.writing, [[0, CROWDED_BUFFER_SIZE]]);
  assertEquals(rig.writer.hasRoom, false);
  assertEquals(rig.write(1), 0);
  const room = rig.writer.room();
  rig.engine.complete(rig.engine.only("write"));
  await room;
  assertEquals(rig.writer.hasRoom, true);
  rig.fill(10);
  assertEquals(budget.held, CROWDED_BUFFER_SIZE);
  await rig.finish();
  assertEquals(budget.held, 0);
});

Deno.test("Writer: a writer goes on with large buffers when others have given theirs back", async () => {
  const budget = new BufferBudget(64 * MIB);
  budget.take(64 * MIB);
  const rig = await Rig.make({ bufferSize: MIB, writeBehind: 4, budget });
  rig.fill(CROWDED_BUFFER_SIZE);
  rig.engine.complete(rig.engine.only("write"));
  budget.giveBack(64 * MIB);
  rig.fill(2 * MIB);
  assertEquals(rig.writing, [
    [CROWDED_BUFFER_SIZE, MIB],
    [CROWDED_BUFFER_SIZE + MIB, MIB],
  ]);
  await rig.finish();
});

Deno.test("Writer: a buffer that was begun when there was memory is filled to its end", async () => {
  const budget = new BufferBudget(64 * MIB);
  const rig = await Rig.make({ bufferSize: MIB, writeBehind: 1, budget });
  rig.fill(MIB + 100);
  budget.take(64 * MIB);
  rig.fill(MIB - 100);
  rig.engine.complete(rig.engine.only("write"));
  assertEquals(rig.writing, [[MIB, MIB]]);
  budget.giveBack(64 * MIB);
  await rig.finish();
  assertEquals(budget.held, 0);
});

Deno.test("Writer: blocks larger than 256 KiB are written whole all the same", async () => {
  const budget = new BufferBudget(0);
  const rig = await Rig.make({ bufferSize: MIB, alignment: 512 * 1024, budget });
  rig.fill(MIB / 2);
  assertEquals(rig.writing, [[0, MIB / 2]]);
  await rig.finish();
  assertEquals(budget.held, 0);
});

Deno.test("Writer: a file that others may follow grows in order: one write in flight", async () => {
  const ways = [
    { direct: false, preallocate: false, writes: [[0, 1024]] },
    { direct: false, preallocate: true, writes: [[0, 1024], [1024, 1024]] },
    { direct: true, preallocate: false, writes: [[0, 1024], [1024, 1024]] },
  ];
  for (const { writes, ...options } of ways) {
    const rig = await Rig.make(options);
    rig.fill(2048);
    assertEquals(rig.writing, writes as [number, number][]);
    await rig.finish();
  }
});
