// sync and flush while other things go on: what they wait for, what they resolve to, and how often the file is
// really synced.

import { assertEquals } from "@std/assert";
import { turn } from "../../support/scripted_engine.ts";
import { randomPlan } from "../../support/scripted_operation.ts";
import { type Call, type Checks, finish, Rig } from "./rig.ts";

function states(...calls: Call[]): string[] {
  return calls.map(({ state }) => state);
}

export const syncs = {
  async "sync waits for the writes, then for the file"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(2500);
    const synced = rig.sync();
    rig.engine.complete(rig.engine.pending[1]!);
    await turn();
    assertEquals(rig.engine.describePending(), "write 0+1024");
    rig.engine.complete(rig.only("write"));
    await turn();
    assertEquals([synced.state, rig.engine.describePending()], ["pending", "sync"]);
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals([synced.state, synced.value], ["resolved", 2048]);
    await finish(rig);
  },

  async "sync resolves to what was flushed when the sync of the file began"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const synced = rig.sync();
    rig.engine.complete(rig.only("write"));
    await turn();
    rig.fill(1024);
    rig.engine.complete(rig.only("write"));
    assertEquals(rig.core.flushedPosition, 2048);
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals(synced.value, 1024);
    await finish(rig);
  },

  async "sync does not wait for what is written after it"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const synced = rig.sync();
    rig.fill(1024);
    rig.engine.complete(rig.engine.pending[0]!);
    await turn();
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals([synced.value, rig.writing], [1024, [1024]]);
    await finish(rig);
  },

  async "writing goes on while the file is synced"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const synced = rig.sync();
    rig.engine.complete(rig.only("write"));
    await turn();
    rig.fill(2048);
    assertEquals(rig.engine.describePending(), "sync, write 1024+1024, write 2048+1024");
    rig.engine.completeAll([2, 1, 0]);
    await turn();
    assertEquals(synced.value, 1024);
    await finish(rig);
  },

  async "two syncs at once are one sync of the file"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const calls = [rig.sync(), rig.sync(), rig.sync(true)];
    await rig.engine.drain();
    assertEquals(calls.map(({ value }) => value), [1024, 1024, 1024]);
    assertEquals(rig.engine.counters.syncs, 1);
    await finish(rig);
  },

  async "syncs that come while the file is synced share the next one"(Core) {
    const rig = await Rig.make(Core, { writeBehind: 4 });
    rig.fill(1024);
    const first = rig.sync();
    rig.engine.complete(rig.only("write"));
    await turn();
    rig.fill(1024);
    const second = [rig.sync(), rig.sync(true), rig.sync()];
    rig.engine.complete(rig.only("write"));
    await turn();
    assertEquals(rig.engine.describePending(), "sync");
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals([first.value, ...states(...second)], [1024, "pending", "pending", "pending"]);
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals(second.map(({ value }) => value), [2048, 2048, 2048]);
    assertEquals(rig.engine.counters.syncs, 2);
    await finish(rig);
  },

  async "a sync with nothing new resolves without a sync of the file"(Core) {
    const rig = await Rig.make(Core);
    assertEquals(await rig.engine.settled(rig.core.sync(false)), 0);
    rig.fill(1500);
    await rig.engine.drive(rig.core.sync(true));
    assertEquals(rig.engine.counters.syncs, 1);
    assertEquals(await rig.engine.settled(rig.core.sync(true)), 1500);
    assertEquals(await rig.engine.settled(rig.core.sync(false)), 1500);
    assertEquals(rig.engine.counters.syncs, 1);
    await finish(rig);
  },

  async "what completes while the file is synced is synced again when asked for"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(2048);
    rig.engine.complete(rig.engine.pending[0]!);
    rig.call("flush", rig.core.flush());
    const first = rig.sync();
    await rig.engine.drain();
    assertEquals([first.value, rig.engine.counters.syncs], [2048, 1]);

    rig.fill(1024);
    const second = rig.sync();
    rig.fill(1024);
    rig.engine.complete(rig.engine.pending[0]!);
    await turn();
    // This write completes in the middle of the sync: no one knows whether that made it durable.
    rig.engine.complete(rig.engine.pendingOf("write")[0]!);
    const third = rig.sync();
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals([second.value, third.state], [3072, "pending"]);
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals(third.value, 4096);
    await finish(rig);
  },

  async "a file that is new is synced even where nothing was written"(Core) {
    const rig = await Rig.make(Core, { unsynced: true });
    const synced = rig.sync();
    await turn();
    rig.engine.complete(rig.only("sync"));
    await turn();
    assertEquals(synced.value, 0);
    await finish(rig);
    assertEquals(rig.engine.counters.syncs, 1);
  },

  async "flush resolves while a sync runs"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const synced = rig.sync();
    rig.engine.complete(rig.only("write"));
    await turn();
    rig.fill(1024);
    const flushed = rig.flush();
    rig.engine.complete(rig.only("write"));
    await turn();
    assertEquals([flushed.value, synced.state], [2048, "pending"]);
    await finish(rig);
  },

  async "syncs, tails and flushes at random resolve to what is durable"(Core) {
    for (let seed = 1; seed <= 30; seed++) {
      const plan = randomPlan(seed, { short: 0.2 });
      const rig = await Rig.make(Core, { writeBehind: 1 + seed % 3, unsynced: seed % 2 === 0 });
      for (let count = 0; count < 40; count++) {
        rig.write(1 + (seed * 7919 + count * 104729) % 1800);
        if ((seed + count) % 3 === 0) rig.sync();
        if ((seed + count) % 4 === 0) rig.sync(true);
        if ((seed + count) % 5 === 0) rig.flush();
        await rig.step(plan);
        if (count % 2 === 0) await rig.step(plan);
      }
      await rig.engine.drain(plan);
      for (const { name, state, value } of rig.calls) {
        assertEquals(state, "resolved", `${name} of seed ${seed}: ${value}`);
      }
      await finish(rig, plan);
    }
  },
} satisfies Checks;
