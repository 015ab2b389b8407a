// The cost of one call does not grow with the number of others in flight or waiting. No clock: the tests count steps.

import { assert, assertEquals } from "@std/assert";
import { DmaFile } from "@denodma/dma";
import { sinkOf } from "../../src/writer/sink.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { engine, replaceMethod } from "../support/engine.ts";

const MANY = 2000;

testInOneDirectory("A failed write does not search all others in flight", async (dir) => {
  await using file = await DmaFile.create(dir.file("failing"));
  const { max } = Math;
  const submit = engine.submit.bind(engine);
  let comparisons = 0;
  {
    using _ = replaceMethod("submit", (operation, completion) => {
      if (operation.op !== "write") return submit(operation, completion);
      setTimeout(() => completion.complete(-28));
    });
    Math.max = (...values) => ++comparisons && max(...values);
    try {
      const block = new Uint8Array(file.alignment.offset);
      const writes = Array.from(
        { length: MANY },
        (_, at) => file.writeAt(block, at * block.length),
      );
      const results = await Promise.allSettled(writes);
      assert(results.every(({ status }) => status === "rejected"));
    } finally {
      Math.max = max;
    }
  }
  assert(comparisons < 50 * MANY, `${comparisons} comparisons`);
  await file.close().catch(() => {});
});

testInOneDirectory("Thousands of cuts that have nothing to cut fit into the stack", async (dir) => {
  await using file = await DmaFile.create(dir.file("held"));
  await using writer = file.writable;
  const { length } = sinkOf(writer)!.writer.file;
  const begun: number[] = [];
  const first = length.holdWrites(() => {}, "cut");
  for (let cut = 0; cut < 20_000; cut++) {
    length.holdWrites((release) => {
      begun.push(cut);
      release();
    }, "truncate");
  }
  first();
  assertEquals([begun.length, begun[0], begun.at(-1), length.hasHolds], [20_000, 0, 19_999, false]);
});
