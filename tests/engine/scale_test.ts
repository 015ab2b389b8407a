// The cost of one call does not grow with the number of others in flight or waiting. The tests count steps, not time.

import { assert, assertEquals } from "@std/assert";
import { DmaFile } from "@denodma/dma";
import type { Shim } from "../../ffi/shim.ts";
import { Counters } from "../../src/engine/counters.ts";
import { Errno } from "../../src/engine/linux.ts";
import { entry, type Request } from "../../src/engine/sqe.ts";
import { ThreadCalls } from "../../src/engine/thread_calls.ts";
import { Queue } from "../../src/queue.ts";
import { sinkOf } from "../../src/writer/sink.ts";
import { testInOneDirectory, testOnce } from "../support/dirs.ts";
import { engine, replaceMethod } from "../support/engine.ts";
import { collectGarbage } from "../support/leaks.ts";

const MANY = 2000;
const many = Array.from({ length: MANY }, (_, index) => index);

/** Counts the calls of a method until it is disposed. */
function counting(object: object, name: string) {
  const method = Reflect.get(object, name);
  const counted = { calls: 0, [Symbol.dispose]: () => void Reflect.set(object, name, method) };
  const count = function (this: unknown, ...given: unknown[]) {
    counted.calls++;
    return method.apply(this, given);
  };
  Reflect.set(object, name, count);
  return counted;
}

testOnce("A queue seldom moves its items, and keeps their order", () => {
  using moves = counting(Array.prototype, "splice");
  const queue = new Queue<number>();
  for (const item of many) queue.push(item);
  for (const item of many) {
    queue.push(MANY + item);
    assertEquals([queue.at(0), queue.shift(), queue.length], [item, item, MANY]);
  }
  assertEquals([queue.at(0), queue.at(-1)], [MANY, 2 * MANY - 1]);
  assert(moves.calls > 0 && moves.calls < 10, `${moves.calls} moves`);
});

testOnce("A queue does not keep what was taken from it", async () => {
  const queue = new Queue<object>();
  for (let item = 0; item < 5; item++) queue.push({});
  const taken = new WeakRef(queue.shift()!);
  await collectGarbage();
  assertEquals([taken.deref(), queue.length], [undefined, 4]);
});

testOnce("An ending call does not search those that wait for a device that hangs", async () => {
  const ends: (() => void)[] = [];
  const shim = {
    resources: { results: new Int32Array(1022) },
    dma_call_on_thread: () => new Promise((resolve) => ends.push(() => resolve(0))),
  } as unknown as Shim;
  const ended: unknown[] = [];
  const calls = new ThreadCalls(shim, new Counters(), 4, ({ device }) => ended.push(device));
  let looks = 0;
  const start = (number: number) => {
    const device = { get: () => ++looks && number };
    calls.start(Object.defineProperty({ sqe: entry(0, 0) }, "device", device) as Request);
  };
  for (const _ of many) start(1);
  for (let call = 0; call < 10; call++) start(2);
  looks = 0;
  // Three calls hang. The fourth thread serves the other device.
  for (let call = 0; call < 10; call++) {
    ends.pop()!();
    await new Promise((resolve) => setTimeout(resolve));
  }
  assertEquals([ended, ends.length], [Array(10).fill(2), 3]);
  assert(looks > 0 && looks < MANY, `${looks} looks`);
});

testInOneDirectory("A failed write does not search all others in flight", async (dir) => {
  await using file = await DmaFile.create(dir.file("failing"));
  const block = new Uint8Array(file.alignment.offset);
  const submit = engine.submit.bind(engine);
  using _ = replaceMethod("submit", (operation, completion) => {
    if (operation.op === "write") setTimeout(() => completion.complete(-Errno.ENOSPC));
    else submit(operation, completion);
  });
  for (const size of [0, 2 * MANY * block.length]) {
    await file.truncate(size);
    using comparisons = counting(Math, "max");
    const writes = many.map((at) => file.writeAt(block, at * block.length));
    assert((await Promise.allSettled(writes)).every(({ status }) => status === "rejected"));
    const { calls } = comparisons;
    // At least one a write, or this counts what is no longer called.
    assert(calls >= MANY && calls < 50 * MANY, `${calls} comparisons`);
  }
});

testInOneDirectory("Thousands of cuts that have nothing to cut fit into the stack", async (dir) => {
  await using file = await DmaFile.create(dir.file("held"));
  const { changes } = sinkOf(file.writable)!.writer.file;
  const begun: number[] = [];
  const first = changes.holdWrites(() => {}, "cut");
  for (let cut = 0; cut < 10 * MANY; cut++) {
    changes.holdWrites((release) => {
      begun.push(cut);
      release();
    }, "truncate");
  }
  first();
  assertEquals([begun.length, begun[0], begun.at(-1)], [10 * MANY, 0, 10 * MANY - 1]);
  assert(!changes.hasHolds);
});
