// Holds the read-ahead core to its promises: the order of completions, reads that end early, files that change. On
// an engine that holds, reorders, shortens and fails operations.

import { assert, assertEquals } from "@std/assert";
import { BufferBudget, CROWDED_BUFFER_SIZE } from "../../src/engine/buffer_budget.ts";
import { pattern } from "../support/bytes.ts";
import { permutations, Rig } from "./read_ahead/rig.ts";
import { turn } from "../support/scripted_hold.ts";
import type { Held, Outcome } from "../support/scripted_operation.ts";

const MIB = 1 << 20;

Deno.test("ReadAhead reads nothing before it is asked", async () => {
  const rig = new Rig();
  await turn();
  assertEquals(rig.engine.describePending(), "nothing");
  assertEquals(rig.peek(), undefined);
  assertEquals(rig.reading, [0, 1024]);
  await rig.cancel();
});

Deno.test("ReadAhead gives the bytes in order, whatever the order of completions", async () => {
  for (const order of permutations(4)) {
    const rig = new Rig({ size: 4096, readAhead: 4 });
    rig.peek();
    assertEquals(rig.reading, [0, 1024, 2048, 3072]);
    rig.engine.completeAll(order);
    await rig.finish(4096);
  }
});

Deno.test("ReadAhead shows bytes only when those before them are there", async () => {
  const rig = new Rig();
  rig.peek();
  const [first, second] = rig.engine.pendingOf("read");
  const ready = rig.core.ready();
  rig.engine.complete(second!);
  assertEquals(rig.peek(), undefined);
  rig.engine.complete(first!);
  await rig.engine.settled(ready);
  assertEquals(rig.take(), 1024);
  assertEquals(rig.take(), 1024);
  await rig.finish(5000);
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

Deno.test("ReadAhead gives any range of any file through buffers of any size", async () => {
  const edges = [0, 1, 511, 512, 513, 1000, 1023, 1024, 1025, 2048, 4999, 5000, 5120, 9000];
  for (const bufferSize of [512, 1024, 1536, 5120, 12_288]) {
    for (const size of edges) {
      for (const start of [0, 1, 511, 512, 1500, 4999, 6000]) {
        for (const end of [start, start + 1, start + 511, start + 1025, Infinity]) {
          const rig = new Rig({ size, start, end, bufferSize, readAhead: size % 3 });
          await rig.finish(Math.max(start, Math.min(size, end)), undefined, 700);
        }
      }
    }
  }
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

Deno.test("ReadAhead goes on with a read that ends early", async () => {
  for (const short of [1, 511, 512, 513, 700, 1023]) {
    for (let index = 0; index < 6; index++) {
      const rig = new Rig({ size: 6000 });
      let seen = 0;
      const plan = {
        name: `${short} bytes of read ${index}`,
        choose: ([operation]: readonly Held[]): [Held, Outcome] => [
          operation!,
          operation!.kind === "read" && seen++ === index ? { most: short } : {},
        ],
      };
      await rig.finish(6000, plan);
    }
  }
});

Deno.test("ReadAhead never tires of a file that grows a little while it is read", async () => {
  const rig = new Rig({ size: 100, readAhead: 1 });
  const file = rig.engine.file(rig.fd);
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
  rig.engine.file(rig.fd).write(1024, pattern(100_000, 1024));
  await rig.finish(101_024);
  const reads = rig.engine.log.filter((line) => line.startsWith("+ read"));
  assert(reads.length < 110, `${reads.length} reads of a file of 101,024 bytes`);
});

Deno.test("ReadAhead ends at the new end of a file that was cut while it is read", async () => {
  for (const cut of [0, 1, 1024, 1500, 2048, 3000]) {
    const rig = new Rig();
    rig.peek();
    rig.engine.completeAll();
    const given = rig.take();
    rig.engine.file(rig.fd).truncate(cut);
    await rig.rest();
    // What was read before the cut is given out all the same.
    assertEquals(rig.position, Math.max(given + 1024, cut));
    await rig.cancel();
  }
});

Deno.test("ReadAhead forgets what was cut off before its length was asked for", async () => {
  const rig = new Rig({ size: 1000, readAhead: 1 });
  rig.peek();
  rig.engine.complete(rig.engine.only("read"));
  rig.engine.file(rig.fd).truncate(600);
  rig.engine.complete(rig.engine.only("stat"));
  await rig.finish(600);
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

Deno.test("ReadAhead gives back what it shares when it is cancelled, or its buffers are taken", async () => {
  const budget = new BufferBudget(64 * MIB);
  const rig = new Rig({ size: 8 * MIB, bufferSize: MIB, readAhead: 3, budget });
  rig.peek();
  rig.engine.completeAll();
  const taken = rig.core.takeBlock(512)!;
  rig.position = rig.core.position;
  assertEquals(budget.held, 3 * MIB);
  rig.engine.release(taken.block);
  await rig.cancel();
  assertEquals(budget.held, 0);
});
