// How a writer fills buffers and starts writes: nothing waits that need not.

import { assert, assertEquals } from "@std/assert";
import { BufferBudget, CROWDED_BUFFER_SIZE } from "../../src/engine/buffer_budget.ts";
import { turn } from "../support/scripted_engine.ts";
import { Rig, testRig, watch } from "./rig.ts";

const KIB = 1024;
const MIB = 1 << 20;

testRig("a small file takes no more than a small buffer", { bufferSize: MIB }, (rig) => {
  rig.fill(100);
  assertEquals(rig.engine.mostBytes, 64 * KIB);
});

const grows = { bufferSize: 256 * KIB };

testRig("the first buffer grows to a full one, and is written as one", grows, (rig) => {
  rig.fill(64 * KIB);
  rig.fill(1);
  assertEquals(rig.writing, []);
  rig.fill(192 * KIB - 1);
  assertEquals(rig.writing, [[0, 256 * KIB]]);
  rig.fill(100);
  assert(rig.engine.mostBytes <= 2 * 256 * KIB + 64 * KIB);
});

testRig("the first buffer grows behind a tail that is whole", grows, async (rig) => {
  rig.fill(5000);
  await rig.engine.drive(rig.sync(true));
  rig.fill(251 * KIB);
  await rig.finish();
  // Every whole block went once, and the one in which the tail ended twice.
  assertEquals(rig.engine.counters.bytesWritten, 256 * KIB + 512);
});

const largeBlocks = { ...grows, alignment: 128 * KIB };

testRig("a first buffer that is smaller than a block is a block", largeBlocks, async (rig) => {
  rig.fill(100 * KIB);
  await rig.engine.drive(rig.sync(true));
  rig.fill(3 * KIB);
});

testRig("room is there as soon as any write completes, not only the first", {}, async (rig) => {
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
});

testRig("flush waits for the buffers that are full by then", { writeBehind: 4 }, async (rig) => {
  const nothing = watch(rig.flush(false));
  rig.fill(1500);
  const first = watch(rig.flush(false));
  rig.fill(1500);
  const both = watch(rig.flush(false));
  const seen = () => [nothing.value, first.value, both.value];
  await turn();
  assertEquals(seen(), [0, undefined, undefined]);
  rig.engine.complete(rig.engine.pending[1]!);
  await turn();
  assertEquals(seen(), [0, undefined, undefined]);
  rig.engine.complete(rig.engine.pending[0]!);
  await turn();
  assertEquals(seen(), [0, 2048, 2048]);
});

testRig("a tail is one write, the next begins in its block", { bufferSize: 4096 }, async (rig) => {
  for (const [length, write] of [[1300, [0, 1536]], [100, [1024, 512]]] as const) {
    rig.fill(length);
    const synced = rig.sync(true);
    await turn();
    assertEquals(rig.writing, [[...write]]);
    await rig.engine.drive(synced);
  }
});

testRig("a tail that waits has what is filled meanwhile", { writeBehind: 1 }, async (rig) => {
  rig.fill(1024 + 100);
  const synced = watch(rig.sync(true));
  await turn();
  rig.fill(600);
  assertEquals(rig.writing, [[0, 1024]]);
  await rig.end("write");
  assertEquals(rig.writing, [[1024, 1024]]);
  await rig.engine.drain();
  assertEquals(synced.value, 1724);
});

// ---- memory that streams share --------------------------------------------------------------------------------

/** Registers a test of a rig that shares memory, of which it holds nothing afterwards. */
function testBudget(
  name: string,
  { bytes = 64 * MIB, taken = 0, ...options }: {
    bytes?: number;
    taken?: number;
    bufferSize?: number;
    writeBehind?: number;
    alignment?: number;
  },
  fn: (rig: Rig, budget: BufferBudget) => void | Promise<void>,
): void {
  Deno.test(`Writer: ${name}`, async () => {
    const budget = new BufferBudget(bytes);
    budget.take(taken);
    const rig = await Rig.make({ bufferSize: MIB, ...options, budget });
    await fn(rig, budget);
    await rig.finish();
    assertEquals(budget.held, 0);
  });
}

testBudget("a flushed tail holds no buffer", { bufferSize: 4096 }, async (rig, budget) => {
  rig.fill(1300);
  assertEquals(budget.held, 4096);
  await rig.engine.drive(rig.flush(true));
  assertEquals(budget.held, 0);
  rig.fill(10);
});

testBudget("with a spent budget there is one buffer of 256 KiB at a time", {
  bytes: 0,
  writeBehind: 4,
}, async (rig, budget) => {
  rig.fill(CROWDED_BUFFER_SIZE);
  assertEquals(rig.writing, [[0, CROWDED_BUFFER_SIZE]]);
  assertEquals([rig.writer.hasRoom, rig.write(1)], [false, 0]);
  const room = rig.writer.room();
  await rig.end("write");
  await room;
  assertEquals(rig.writer.hasRoom, true);
  rig.fill(10);
  assertEquals(budget.held, CROWDED_BUFFER_SIZE);
});

testBudget("large buffers come back when others have given theirs back", {
  taken: 64 * MIB,
  writeBehind: 4,
}, async (rig, budget) => {
  rig.fill(CROWDED_BUFFER_SIZE);
  await rig.end("write");
  budget.giveBack(64 * MIB);
  rig.fill(2 * MIB);
  assertEquals(rig.writing, [[CROWDED_BUFFER_SIZE, MIB], [CROWDED_BUFFER_SIZE + MIB, MIB]]);
});

testBudget("a buffer that was begun is filled", { writeBehind: 1 }, async (rig, budget) => {
  rig.fill(MIB + 100);
  budget.take(64 * MIB);
  rig.fill(MIB - 100);
  await rig.end("write");
  assertEquals(rig.writing, [[MIB, MIB]]);
  budget.giveBack(64 * MIB);
});

testBudget("blocks larger than 256 KiB are written whole", {
  bytes: 0,
  alignment: MIB / 2,
}, (rig) => {
  rig.fill(MIB / 2);
  assertEquals(rig.writing, [[0, MIB / 2]]);
});

// ---- files that others follow -----------------------------------------------------------------------------------

const followed = [[false, false, 1], [false, true, 2], [true, false, 2]] as const;

for (const [direct, preallocate, writes] of followed) {
  const options = { direct, preallocate };
  testRig(`${writes} writes are in flight with ${Deno.inspect(options)}`, options, (rig) => {
    // A file that others may follow grows in order.
    rig.fill(2048);
    assertEquals(rig.writing, [[0, 1024], [1024, 1024]].slice(0, writes));
  });
}
