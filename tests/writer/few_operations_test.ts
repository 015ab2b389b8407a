// What a writer leaves out: syncs, tails and cuts that would change nothing, and everything that follows a failure.

import { assertEquals } from "@std/assert";
import { pattern } from "../support/bytes.ts";
import { turn } from "../support/scripted_engine.ts";
import { type Call, Rig, testRig, watch } from "./rig.ts";

function values(calls: Call[]): unknown[] {
  return calls.map(({ value }) => value);
}

testRig("sync does not wait for what is written after it", {}, async (rig) => {
  rig.fill(1024);
  const synced = watch(rig.sync(false));
  rig.fill(1024);
  rig.engine.complete(rig.engine.pending[0]!);
  await turn();
  await rig.end("sync");
  assertEquals([synced.value, rig.writing], [1024, [[1024, 1024]]]);
});

testRig("syncs that come during a sync share the next one", { writeBehind: 4 }, async (rig) => {
  rig.fill(1024);
  const first = watch(rig.sync(false));
  await rig.end("write");
  rig.fill(1024);
  const second = [false, true, false].map((tail) => watch(rig.sync(tail)));
  await rig.end("write");
  assertEquals(rig.inFlight, ["sync"]);
  await rig.end("sync");
  assertEquals([first.value, ...values(second)], [1024, undefined, undefined, undefined]);
  await rig.end("sync");
  assertEquals(values(second), [2048, 2048, 2048]);
  assertEquals(rig.engine.counters.syncs, 2);
});

const oneBlock = { bufferSize: 4096, alignment: 4096 };

testRig("syncs at once share one write, and those after them the next", oneBlock, async (rig) => {
  const calls: Call[] = [];
  const ask = async (count: number) => {
    for (let index = 0; index < count; index++) {
      rig.fill(10);
      calls.push(watch(rig.sync(true)));
    }
    await turn();
    assertEquals(rig.writing, [[0, 4096]]);
  };
  await ask(10);
  await ask(90);
  // The buffer, and one copy of its only block.
  assertEquals(rig.engine.mostBytes, 2 * 4096);
  await rig.engine.drain();
  assertEquals(calls.map(({ state }) => state), Array(100).fill("resolved"));
  assertEquals(calls.at(-1)!.value, 1000);
  assertEquals(rig.engine.counters.writes, 2);
});

testRig("callers that come back after a sync share the next one", {}, async (rig) => {
  let left = 8;
  const task = async () => {
    while (left-- > 0) {
      rig.fill(100);
      await rig.sync(true);
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
});

for (const length of [700, 1024, 1536]) {
  testRig(`close does not rewrite a tail of ${length}`, { bufferSize: 2048 }, async (rig) => {
    rig.fill(length);
    await rig.engine.drive(rig.sync(true));
    const { writes } = rig.engine.counters;
    await rig.finish();
    assertEquals(rig.engine.counters.writes, writes);
  });
}

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
  rig.sync(true).catch(() => {});
  rig.engine.complete(rig.engine.pending[0]!);
  await turn();
  const { length } = rig.engine.log;
  await rig.engine.drive(rig.writer.abort(new Error("aborted")));
  assertEquals(rig.engine.log.slice(length).map((each) => each.split(" ")[0]), ["truncate"]);
});

Deno.test("Writer: a sync that an abort overtakes syncs nothing", async () => {
  const rig = await Rig.make({ preallocate: false });
  rig.fill(100);
  rig.sync(true).catch(() => {});
  await turn();
  await rig.end("write");
  // The padding is cut before the sync.
  assertEquals(rig.inFlight, ["truncate"]);
  await rig.engine.drive(rig.writer.abort(new Error("aborted")));
  assertEquals(rig.engine.log, ["write 0+512", "truncate 100"]);
});
