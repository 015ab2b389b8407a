// What a writer leaves out: syncs, tails and cuts that would change nothing, and everything that follows a failure.

import { assertEquals } from "@std/assert";
import { pattern } from "../support/bytes.ts";
import { turn } from "../support/scripted_engine.ts";
import { type Call, Rig, watch } from "./rig.ts";

function states(...calls: Call[]): string[] {
  return calls.map(({ state }) => state);
}

Deno.test("Writer: sync does not wait for what is written after it", async () => {
  const rig = await Rig.make();
  rig.fill(1024);
  const synced = watch(rig.writer.sync(false));
  rig.fill(1024);
  rig.engine.complete(rig.engine.pending[0]!);
  await turn();
  rig.engine.complete(rig.engine.only("sync"));
  await turn();
  assertEquals([synced.value, rig.writing], [1024, [[1024, 1024]]]);
  await rig.finish();
});

Deno.test("Writer: two syncs at once are one sync of the file", async () => {
  const rig = await Rig.make();
  rig.fill(1024);
  const calls = [
    watch(rig.writer.sync(false)),
    watch(rig.writer.sync(false)),
    watch(rig.writer.sync(true)),
  ];
  await rig.engine.drain();
  assertEquals(calls.map(({ value }) => value), [1024, 1024, 1024]);
  assertEquals(rig.engine.counters.syncs, 1);
  await rig.finish();
});

Deno.test("Writer: syncs that come while the file is synced share the next one", async () => {
  const rig = await Rig.make({ writeBehind: 4 });
  rig.fill(1024);
  const first = watch(rig.writer.sync(false));
  rig.engine.complete(rig.engine.only("write"));
  await turn();
  rig.fill(1024);
  const second = [
    watch(rig.writer.sync(false)),
    watch(rig.writer.sync(true)),
    watch(rig.writer.sync(false)),
  ];
  rig.engine.complete(rig.engine.only("write"));
  await turn();
  assertEquals(rig.engine.describePending(), "sync");
  rig.engine.complete(rig.engine.only("sync"));
  await turn();
  assertEquals([first.value, ...states(...second)], [1024, "pending", "pending", "pending"]);
  rig.engine.complete(rig.engine.only("sync"));
  await turn();
  assertEquals(second.map(({ value }) => value), [2048, 2048, 2048]);
  assertEquals(rig.engine.counters.syncs, 2);
  await rig.finish();
});

Deno.test("Writer: a tail that ends with the buffer is nothing but the buffer", async () => {
  const rig = await Rig.make();
  rig.fill(1024);
  const synced = watch(rig.writer.sync(true));
  assertEquals(rig.writing, [[0, 1024]]);
  await rig.engine.drive(synced.promise);
  assertEquals([synced.value, rig.engine.counters.writes], [1024, 1]);
  await rig.finish();
  assertEquals(rig.engine.counters.writes, 1);
});

Deno.test("Writer: syncs that are asked for at once share one write, and those after them the next", async () => {
  const rig = await Rig.make({ bufferSize: 4096, alignment: 4096 });
  const calls: Call[] = [];
  const ask = (count: number) => {
    for (let index = 0; index < count; index++) {
      rig.fill(10);
      calls.push(watch(rig.writer.sync(true)));
    }
  };
  ask(10);
  await turn();
  assertEquals(rig.writing, [[0, 4096]]);
  ask(90);
  await turn();
  // The buffer, and one copy of its only block.
  assertEquals([rig.writing, rig.engine.mostBytes], [[[0, 4096]], 2 * 4096]);
  await rig.engine.drain();
  assertEquals(calls.map(({ state }) => state), Array(100).fill("resolved"));
  assertEquals(calls.at(-1)!.value, 1000);
  assertEquals(rig.engine.counters.writes, 2);
  await rig.finish();
});

Deno.test("Writer: callers that come back when a sync has served them share the next one", async () => {
  const rig = await Rig.make();
  let left = 8;
  const task = async () => {
    while (left-- > 0) {
      rig.fill(100);
      await rig.writer.sync(true);
    }
  };
  const tasks = [task()];
  await turn();
  // Three tasks begin while the first one is served.
  tasks.push(task(), task(), task());
  await rig.engine.drain();
  await Promise.all(tasks);
  // One record, then four, then three.
  assertEquals(rig.engine.counters.writes, 3);
  await rig.finish();
});

Deno.test("Writer: close does not write a tail again that is there already", async () => {
  for (const length of [700, 1024, 1536]) {
    const rig = await Rig.make({ bufferSize: 2048 });
    rig.fill(length);
    await rig.engine.drive(rig.writer.sync(true));
    const { writes } = rig.engine.counters;
    await rig.finish();
    assertEquals(rig.engine.counters.writes, writes);
  }
});

Deno.test("Writer: close of an untouched file does nothing", async () => {
  for (const start of [0, 512, 700, 6000]) {
    for (const content of [new Uint8Array(0), pattern(3000)]) {
      const rig = await Rig.make({ start, content });
      await rig.finish();
      assertEquals(rig.engine.log, []);
      assertEquals(rig.engine.file(rig.file.fd).read(0, Infinity), content);
    }
  }
});

Deno.test("Writer: abort begins nothing but the cut", async () => {
  const rig = await Rig.make({ preallocate: false });
  rig.fill(2048 + 100);
  rig.writer.sync(true).catch(() => {});
  rig.engine.complete(rig.engine.pending[0]!);
  await turn();
  const { length } = rig.engine.log;
  await rig.engine.drive(rig.writer.abort(new Error("aborted")));
  assertEquals(rig.engine.log.slice(length).map((each) => each.split(" ")[0]), ["truncate"]);
});
