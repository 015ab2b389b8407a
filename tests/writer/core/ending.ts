// finish and abort: what happens in which order, and that they get there whenever they are called.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../src/engine/linux.ts";
import { turn } from "../../support/scripted_engine.ts";
import { inOrder, type Plan, randomPlan } from "../../support/scripted_operation.ts";
import { type Checks, type Core, finish, oldContent, Rig, type RigOptions } from "./rig.ts";

/** A life with a bit of everything, event by event, up to a finish that has to drain. */
async function* life(rig: Rig, plan: Plan): AsyncGenerator<void> {
  const actions: (() => unknown)[] = [
    () => rig.write(700),
    () => rig.sync(true),
    () => rig.write(1700),
    () => rig.sync(),
    () => rig.write(100),
    () => rig.sync(true),
    () => rig.write(10_000),
    () => rig.call("room", rig.core.room()),
    () => rig.flush(),
    () => rig.write(600),
    () => rig.sync(true),
    () => rig.write(5),
  ];
  for (const action of actions) {
    action();
    yield;
    await rig.step(plan);
    yield;
  }
  rig.call("finish", rig.core.finish(true));
  // Half a turn: calls may come before a promise was looked at.
  yield;
  await turn();
  yield;
  while (await rig.step(plan)) yield;
}

const FILES: RigOptions[] = [
  {},
  { preallocate: false, unsynced: true },
  { content: oldContent(9000), start: 1300 },
  { content: oldContent(2000), start: 1300, preallocate: false, sizeHint: 3000 },
  { sizeHint: 20_000, bufferSize: 2048 },
];

async function abortAtEveryMoment(Core: Core, makePlan: () => Plan): Promise<void> {
  for (const options of FILES) {
    for (let moment = 0;; moment++) {
      const rig = await Rig.make(Core, options);
      const plan = makePlan();
      let events = 0;
      for await (const _ of life(rig, plan)) if (events++ === moment) break;
      if (events <= moment) {
        assert(moment > 20, `only ${moment} moments`);
        assertEquals(rig.calls.at(-1)!.state, "resolved");
        rig.assertQuiet();
        break;
      }
      await abortNow(rig, plan, `${plan.name}, moment ${moment}`);
    }
  }
}

async function abortNow(rig: Rig, plan: Plan, where: string): Promise<void> {
  const finishing = rig.calls.some(({ name }) => name === "finish");
  const reason = new Error(`Aborted: ${where}`);
  const cut = await rig.engine.drive(rig.core.abort(reason), plan);
  assertEquals(cut, undefined, where);
  await turn();
  rig.check();
  rig.assertQuiet();
  rig.assertCut();
  for (const { name, state, value } of rig.calls) {
    // Whoever waited for room was told already when finish began.
    if (state !== "rejected" || name === "room") continue;
    assert(value === reason && !finishing, `${name} rejects with ${value}: ${where}`);
  }
  // What has begun to end comes to its end.
  if (finishing) return rig.assertFile();
  await rig.assertSticky(reason);
  assertEquals(rig.failures, [], where);
}

export const ending = {
  async "at the end come all writes, then the cut to the exact length, then the sync"(Core) {
    for (const preallocate of [true, false]) {
      const rig = await Rig.make(Core, { preallocate });
      rig.fill(2700);
      const finished = rig.call("finish", rig.core.finish(true));
      await rig.engine.drain();
      assertEquals(finished.state, "resolved");
      assertEquals(rig.engine.log.slice(-5), [
        "- write 2048+1024: 1024",
        "+ truncate 2700",
        "- truncate 2700: 0",
        "+ sync",
        "- sync: 0",
      ]);
      rig.assertFile();
    }
  },

  async "the file has its exact length for every remainder"(Core) {
    for (
      let length = 0;
      length <= 1100;
      length += length % 512 < 3 || length % 512 > 508 ? 1 : 37
    ) {
      const rig = await Rig.make(Core);
      rig.fill(length);
      await finish(rig);
      assertEquals(rig.engine.file(rig.fd).size, length);
    }
  },

  async "finish without durability writes and cuts, and does not sync"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1500);
    await rig.engine.drive(rig.core.finish(false));
    rig.assertQuiet();
    rig.assertFile();
    assertEquals(rig.engine.counters.syncs, 0);
  },

  async "finish of an untouched file does nothing"(Core) {
    for (const start of [0, 512, 700, 6000]) {
      for (const content of [new Uint8Array(0), oldContent(3000)]) {
        const rig = await Rig.make(Core, { start, content });
        await rig.engine.settled(rig.core.finish(true));
        assertEquals(rig.engine.log, []);
        assertEquals(rig.engine.file(rig.fd).content(), content);
        rig.assertQuiet();
      }
    }
  },

  async "finish while a tail is in flight waits for it"(Core) {
    for (const more of [0, 100, 400]) {
      const rig = await Rig.make(Core);
      rig.fill(300);
      const synced = rig.sync(true);
      rig.fill(more);
      const finished = rig.call("finish", rig.core.finish(true));
      await turn();
      assertEquals(rig.engine.describePending(), "write 0+512");
      await rig.engine.drain();
      assertEquals([synced.state, finished.state], ["resolved", "resolved"]);
      rig.assertQuiet();
      rig.assertFile();
    }
  },

  async "finish while the file is synced cuts it after that sync, and syncs again"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const synced = rig.sync();
    rig.engine.complete(rig.only("write"));
    await turn();
    rig.fill(100);
    const finished = rig.call("finish", rig.core.finish(true));
    await rig.engine.drain();
    assertEquals([synced.value, finished.state], [1024, "resolved"]);
    assertEquals(rig.engine.log.slice(-4), [
      "+ truncate 1124",
      "- truncate 1124: 0",
      "+ sync",
      "- sync: 0",
    ]);
    rig.assertFile();
    assertEquals(rig.engine.file(rig.fd).durable.length, 1124);
  },

  async "syncs while finish is on its way resolve, and nothing is in flight when it has ended"(
    Core,
  ) {
    for (const durable of [true, false]) {
      for (let moment = 0; moment < 12; moment++) {
        const rig = await Rig.make(Core);
        rig.fill(2700);
        const finished = rig.call("finish", rig.core.finish(durable));
        let atEnd = "";
        finished.promise.then(() => atEnd = rig.engine.describePending());
        for (let count = 0; count < moment; count++) await rig.step();
        if (finished.state === "resolved") break;
        const calls = [rig.sync(), rig.sync(true), rig.flush()];
        await rig.engine.drain();
        assertEquals(calls.map(({ state }) => state), ["resolved", "resolved", "resolved"]);
        assertEquals([finished.state, atEnd], ["resolved", "nothing"], `moment ${moment}`);
        rig.assertQuiet();
        rig.assertFile();
      }
    }
  },

  async "after finish nothing reaches the descriptor any more"(Core) {
    const rig = await Rig.make(Core, { unsynced: true });
    rig.fill(1500);
    await rig.engine.drive(rig.core.finish(false));
    const { length } = rig.engine.log;
    const calls = [rig.sync(), rig.sync(true), rig.flush(), rig.call("room", rig.core.room())];
    await turn();
    assertEquals(rig.core.write(new Uint8Array(1)), 0);
    assertEquals(await rig.engine.settled(rig.core.abort(new Error("late"))), undefined);
    assertEquals(rig.engine.log.length, length);
    rig.assertQuiet();
    // What was not made durable is not said to be.
    assertEquals(calls.map(({ state }) => state), ["rejected", "rejected", "resolved", "rejected"]);
    rig.assertFile();
  },

  async "whoever waits for room when finish begins is told, and writes nothing"(Core) {
    const rig = await Rig.make(Core);
    rig.write(10_000);
    const before = rig.call("room", rig.core.room());
    const finished = rig.call("finish", rig.core.finish(true));
    const after = rig.call("room", rig.core.room());
    await rig.engine.drain();
    assertEquals([before.state, after.state, finished.state], [
      "rejected",
      "rejected",
      "resolved",
    ]);
    rig.assertFile();
  },

  "abort at every moment leaves the flushed bytes, or the whole file once finish began": (Core) =>
    abortAtEveryMoment(Core, () => inOrder),

  async "abort at every moment, in any order, with short writes"(Core) {
    for (let seed = 1; seed <= 6; seed++) {
      await abortAtEveryMoment(Core, () => randomPlan(seed, { short: 0.3 }));
    }
  },

  async "abort while finish cuts the file waits for finish, and both succeed"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(700);
    const finished = rig.call("finish", rig.core.finish(true));
    await turn();
    await rig.step();
    assertEquals(rig.engine.describePending(), "truncate 700");
    const reason = new Error("aborted");
    const aborted = rig.call("abort", rig.core.abort(reason));
    await turn();
    assertEquals([finished.state, aborted.state], ["pending", "pending"]);
    rig.engine.complete(rig.only("truncate"));
    await turn();
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals([finished.state, aborted.state], ["resolved", "resolved"]);
    rig.assertQuiet();
    rig.assertFile();
  },

  async "abort of a start past the end, of which nothing is whole, leaves the length as it was"(
    Core,
  ) {
    for (const sizeHint of [0, 5000]) {
      const rig = await Rig.make(Core, { content: oldContent(100), start: 1300, sizeHint });
      rig.fill(1024);
      rig.engine.fail(rig.only("write"), Errno.ENOSPC, 600);
      await rig.leave();
      assertEquals(rig.engine.file(rig.fd).content(), oldContent(100));
    }
  },

  async "abort twice is abort once"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(2700);
    rig.sync(true);
    const first = rig.call("abort", rig.core.abort(new Error("first")));
    const second = rig.call("abort", rig.core.abort(new Error("second")));
    await rig.engine.drain();
    assertEquals([first.state, second.state], ["resolved", "resolved"]);
    rig.assertQuiet();
    rig.assertCut();
    assertEquals((rig.core.error as Error).message, "first");
  },

  async "abort with the reason undefined is an abort"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(2700);
    const flushed = rig.flush();
    await rig.engine.drive(rig.core.abort(undefined));
    assertEquals([flushed.state, flushed.value], ["rejected", undefined]);
    await rig.assertSticky(undefined);
    rig.assertQuiet();
  },

  async "abort begins nothing but the cut"(Core) {
    const rig = await Rig.make(Core, { preallocate: false });
    rig.fill(2048 + 100);
    rig.sync(true);
    rig.engine.complete(rig.engine.pending[0]!);
    await turn();
    const { length } = rig.engine.log;
    const aborted = rig.core.abort(new Error("aborted"));
    await rig.engine.drive(aborted);
    const begun = rig.engine.log.slice(length).filter((entry) => entry.startsWith("+"));
    assertEquals(begun.map((entry) => entry.replace(/\d+$/, "")), ["+ truncate "]);
  },

  async "abort while padding is cut before a sync begins no sync"(Core) {
    const rig = await Rig.make(Core, { preallocate: false });
    rig.fill(700);
    const synced = rig.sync(true);
    await rig.step();
    await rig.step();
    assertEquals(rig.engine.describePending(), "truncate 700");
    const aborted = rig.call("abort", rig.core.abort(new Error("aborted")));
    rig.engine.complete(rig.only("truncate"));
    await rig.engine.drain();
    assertEquals([synced.state, aborted.state], ["rejected", "resolved"]);
    assertEquals(rig.engine.counters.syncs, 0);
    rig.assertQuiet();
  },

  async "finish after a failure begins nothing"(Core) {
    const rig = await Rig.make(Core, { content: oldContent(9000), start: 0 });
    rig.fill(1500);
    rig.engine.fail(rig.only("write"), Errno.EIO);
    const finished = rig.call("finish", rig.core.finish(true));
    await turn();
    assertEquals([finished.state, rig.engine.describePending()], ["rejected", "nothing"]);
    await rig.leave();
  },
} satisfies Checks;
