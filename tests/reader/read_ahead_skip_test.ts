// Holds the read-ahead core to its promises: going forward without reading, whole buffers that are given away, and
// everything at random.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Rig } from "./read_ahead/rig.ts";
import { turn } from "../support/scripted_hold.ts";
import { randomNumbers, randomPlan } from "../support/scripted_operation.ts";

const EIO = 5;

Deno.test("ReadAhead skips at any moment, and continues at the new position", async () => {
  for (const bytes of [0, 1, 500, 512, 1024, 1500, 3000, 4999, 5000, 9000]) {
    for (const readAhead of [0, 1, 4]) {
      for (let moment = 0; moment < 12; moment++) {
        const rig = new Rig({ readAhead });
        const plan = randomPlan(moment);
        for (let step = 0; step < moment; step++) {
          if (rig.peek(700)) rig.take(700);
          else rig.engine.step(plan);
          await turn();
        }
        rig.skip(bytes);
        await rig.finish(5000, plan);
      }
    }
  }
});

Deno.test("ReadAhead skips again and again while all its buffers are with the kernel", async () => {
  for (const readAhead of [0, 2, 4]) {
    const rig = new Rig({ readAhead, size: 50_000 });
    rig.peek();
    for (let count = 0; count < 8; count++) {
      rig.skip(5000);
      assertEquals(rig.peek(), undefined);
      const ready = rig.core.ready();
      let over = false;
      ready.then(() => over = true);
      await turn();
      assert(!over || rig.peek() !== undefined, "ready says so, and there is nothing");
    }
    await rig.finish(50_000);
  }
});

Deno.test("ReadAhead skips to the end of the file or of its range at most", async () => {
  const file = new Rig();
  file.skip(9_000_000_000_000_000);
  assertEquals(file.core.position, 5000);
  await file.finish(5000);
  const range = new Rig({ start: 100, end: 3000 });
  range.skip(4000, 3000);
  await range.finish(3000);
  const past = new Rig({ start: 6000 });
  past.skip(10);
  await past.finish(6000);
});

Deno.test("ReadAhead skips over what cannot be read, and goes on", async () => {
  const rig = new Rig({ readAhead: 1 });
  rig.peek();
  rig.engine.fail(rig.engine.only("read"), EIO);
  assertThrows(() => rig.peek(), Error, "os error 5");
  rig.skip(1024);
  await rig.finish(5000);
});

Deno.test("ReadAhead skips in a file whose end it has seen to that end", async () => {
  const rig = new Rig({ size: 1500, readAhead: 4 });
  rig.peek();
  rig.engine.completeAll();
  await turn();
  rig.engine.completeAll();
  await turn();
  rig.engine.file(rig.fd).grow(9000);
  rig.skip(5000, 1500);
  await rig.finish(1500);
});

Deno.test("ReadAhead does not move any more when it is over", async () => {
  const rig = new Rig();
  rig.peek();
  rig.engine.completeAll();
  rig.take();
  await rig.cancel();
  rig.core.skip(100);
  assertEquals(rig.core.position, 1024);
});

Deno.test("ReadAhead gives away whole buffers of which nothing was given out", async () => {
  const rig = new Rig({ size: 5000, readAhead: 4, bufferSize: 1024 });
  assertEquals(rig.core.takeBlock(512), undefined);
  rig.peek();
  rig.engine.completeAll();
  await turn();
  const taken = rig.core.takeBlock(512);
  assertEquals(taken?.length, 1024);
  rig.position += 1024;
  assertEquals(rig.core.position, 1024);
  assertEquals(rig.core.takeBlock(4096), undefined, "not for larger blocks");
  rig.take(10);
  assertEquals(rig.core.takeBlock(512), undefined, "not when a part of it was given out");
  rig.take();
  rig.core.skip(1);
  assertEquals(rig.core.takeBlock(512), undefined, "not behind a skip");
  rig.position++;
  await rig.rest();
  assertEquals([rig.position, rig.core.takeBlock(512)], [5000, undefined]);
  rig.engine.release(taken!.block);
  await rig.cancel();
});

Deno.test("ReadAhead gives no buffer away that reaches behind the end of the range", async () => {
  const rig = new Rig({ end: 1500 });
  rig.peek();
  rig.engine.completeAll();
  rig.engine.release(rig.core.takeBlock(512)!.block);
  rig.position += 1024;
  assertEquals(rig.core.takeBlock(512), undefined);
  await rig.finish(1500);
});

Deno.test("ReadAhead gives right bytes whatever is done to it", async () => {
  for (let seed = 0; seed < 400; seed++) {
    const random = randomNumbers(seed);
    const upTo = (most: number) => Math.floor(random() * (most + 1));
    const size = upTo(9000);
    const rig = new Rig({
      size,
      start: random() < 0.5 ? 0 : upTo(size),
      bufferSize: 512 * (1 + upTo(5)),
      readAhead: upTo(5),
    });
    const plan = randomPlan(seed, { short: 0.2 });
    const blocks = [];
    for (let step = 0; step < 60; step++) {
      const choice = random();
      if (choice < 0.3) rig.engine.step(plan);
      else if (choice < 0.4) rig.skip(upTo(2000));
      else if (choice < 0.5) {
        const taken = rig.core.takeBlock(512);
        if (taken) {
          blocks.push(taken.block);
          rig.position += taken.length;
        }
      } else if (rig.peek(upTo(1500) + 1)) rig.take(upTo(1500) + 1);
      await Promise.resolve();
    }
    if (random() < 0.7) await rig.rest(plan);
    for (const block of blocks) rig.engine.release(block);
    await rig.cancel(plan);
  }
});
