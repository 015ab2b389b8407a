// In whatever order writes complete: how far the bytes count as flushed, and how much is in flight.

import { assert, assertEquals } from "@std/assert";
import { turn } from "../../support/scripted_engine.ts";
import { randomPlan } from "../../support/scripted_operation.ts";
import { type Checks, type Core, finish, permutations, Rig } from "./rig.ts";

/** For how many seeds random orders are tried. */
const SEEDS = 20;

async function inEveryOrder(Core: Core, count: number) {
  for (const order of permutations(count)) {
    const rig = await Rig.make(Core, { writeBehind: count });
    rig.fill(1024 * count);
    const flushed = rig.flush();
    const writes = [...rig.engine.pending];
    const done = new Set<number>();
    for (const index of order) {
      rig.engine.complete(writes[index]!);
      done.add(index);
      let prefix = 0;
      while (done.has(prefix)) prefix++;
      assertEquals(rig.core.flushedPosition, 1024 * prefix, `order ${order}, after ${index}`);
      await turn();
      const state = prefix === count ? "resolved" : "pending";
      assertEquals(flushed.state, state, `flush in order ${order}, after ${index}`);
    }
    await finish(rig);
  }
}

export const ordering = {
  "flushedPosition is the end of the whole prefix in every order of four writes": (Core) =>
    inEveryOrder(Core, 4),

  "flushedPosition is the end of the whole prefix in every order of five writes": (Core) =>
    inEveryOrder(Core, 5),

  async "flushedPosition stays at 8 blocks while 16 is pending and 24 and 32 are done"(Core) {
    const blocks = 512;
    const rig = await Rig.make(Core, { bufferSize: 8 * blocks, writeBehind: 4 });
    rig.fill(32 * blocks);
    const [to8, to16, to24, to32] = [...rig.engine.pending];
    rig.engine.complete(to8!);
    assertEquals(rig.core.flushedPosition, 8 * blocks);
    rig.engine.complete(to24!);
    rig.engine.complete(to32!);
    assertEquals(rig.core.flushedPosition, 8 * blocks);
    rig.engine.complete(to16!);
    assertEquals(rig.core.flushedPosition, 32 * blocks);
    await finish(rig);
  },

  async "five bytes are accepted at once and flushed by finish"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(5);
    await turn();
    assertEquals([rig.core.position, rig.core.flushedPosition], [5, 0]);
    await finish(rig);
    assertEquals([rig.core.position, rig.core.flushedPosition], [5, 5]);
    assertEquals(rig.engine.file(rig.fd).size, 5);
  },

  async "5,000 bytes through buffers of 4,096 are flushed to 4,096 by a sync"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 4096 });
    rig.fill(5000);
    assertEquals(rig.core.flushedPosition, 0);
    const synced = rig.sync();
    await rig.engine.drive(synced.promise);
    assertEquals(synced.value, 4096);
    await finish(rig);
  },

  async "a full buffer is on its way before the next byte comes"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1023);
    assertEquals(rig.writing, []);
    rig.fill(1);
    assertEquals(rig.writing, [0]);
    await finish(rig);
  },

  async "one buffer more than are in flight is taken, and then nothing"(Core) {
    for (const writeBehind of [1, 2, 3, 7]) {
      const rig = await Rig.make(Core, { writeBehind });
      assertEquals(rig.write(100 * 1024), 1024 * (writeBehind + 1));
      assertEquals(rig.core.inFlight, writeBehind);
      assertEquals(rig.write(1), 0);
      await finish(rig);
    }
  },

  async "room is there as soon as any write completes, not only the first"(Core) {
    const rig = await Rig.make(Core);
    rig.write(10_000);
    const room = rig.call("room", rig.core.room());
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
    assertEquals(rig.core.flushedPosition, 0);
    await finish(rig);
  },

  async "room asked for twice is told twice"(Core) {
    const rig = await Rig.make(Core);
    rig.write(10_000);
    const rooms = [rig.call("room", rig.core.room()), rig.call("room", rig.core.room())];
    rig.engine.complete(rig.engine.pending[0]!);
    await turn();
    assertEquals(rooms.map(({ state }) => state), ["resolved", "resolved"]);
    const more = [rig.call("room", rig.core.room())];
    assertEquals(rig.write(10_000), 1024);
    more.push(rig.call("room", rig.core.room()), rig.call("room", rig.core.room()));
    await finish(rig);
    rig.assertQuiet();
  },

  async "flush waits for the buffers that are full when it is called, and for no others"(Core) {
    const rig = await Rig.make(Core, { writeBehind: 4 });
    const nothing = rig.flush();
    rig.fill(1500);
    const first = rig.flush();
    rig.fill(1500);
    const both = rig.flush();
    await turn();
    assertEquals([nothing.state, nothing.value], ["resolved", 0]);
    assertEquals([first.state, both.state], ["pending", "pending"]);
    rig.engine.complete(rig.engine.pending[1]!);
    await turn();
    assertEquals([first.state, both.state], ["pending", "pending"]);
    rig.engine.complete(rig.engine.pending[0]!);
    await turn();
    assertEquals([first.value, both.value], [2048, 2048]);
    await finish(rig);
  },

  async "memory stays within one buffer more than are in flight in any order"(Core) {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const plan = randomPlan(seed, { short: 0.3 });
      const rig = await Rig.make(Core, { writeBehind: 1 + seed % 4, bufferSize: 4096 });
      while (rig.core.position < 100_000) {
        if (rig.write(1 + seed * 977 % 9000) === 0) {
          const room = rig.core.room();
          await rig.engine.drive(room, plan);
        }
      }
      assert(rig.engine.mostBytes <= 4096 * (2 + seed % 4), `${rig.engine.mostBytes} bytes`);
      await finish(rig, plan);
    }
  },

  async "a chunk may change as soon as it was taken"(Core) {
    const rig = await Rig.make(Core);
    const chunk = new Uint8Array(3072);
    for (let index = 0; index < chunk.length; index++) chunk[index] = rig.expected(3072)[index]!;
    assertEquals(rig.core.write(chunk), 3072);
    chunk.fill(0);
    await finish(rig);
  },
} satisfies Checks;
