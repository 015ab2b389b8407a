// sync with the tail: the partly filled buffer is written, and filling goes on in it.

import { assertEquals } from "@std/assert";
import { turn } from "../../support/scripted_engine.ts";
import { type Checks, finish, Rig } from "./rig.ts";

export const tails = {
  async "a tail is padded with zeros to one block, and no further"(Core) {
    for (const length of [1, 5, 511, 513, 1000, 1023]) {
      const rig = await Rig.make(Core);
      rig.fill(length);
      const synced = rig.sync(true);
      await rig.engine.drive(synced.promise);
      assertEquals(synced.value, length);
      const { durable } = rig.engine.file(rig.fd);
      assertEquals(durable.length, Math.ceil(length / 512) * 512);
      assertEquals(durable.subarray(length), new Uint8Array(durable.length - length));
      await finish(rig);
    }
  },

  async "a tail that ends on a block is not padded"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 2048 });
    for (const end of [512, 1024, 1536]) {
      rig.fill(512);
      const synced = rig.sync(true);
      await rig.engine.drive(synced.promise);
      assertEquals([synced.value, rig.engine.file(rig.fd).size], [end, end]);
    }
    rig.fill(512);
    await finish(rig);
    // Each block was written once.
    assertEquals(rig.engine.counters.writes, 4);
  },

  async "a tail that ends with the buffer is nothing but the buffer"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const synced = rig.sync(true);
    assertEquals(rig.writing, [0]);
    await rig.engine.drive(synced.promise);
    assertEquals([synced.value, rig.engine.counters.writes], [1024, 1]);
    await finish(rig);
    assertEquals(rig.engine.counters.writes, 1);
  },

  async "a tail of nothing writes nothing"(Core) {
    const rig = await Rig.make(Core);
    assertEquals(await rig.engine.settled(rig.core.sync(true)), 0);
    rig.fill(700);
    await rig.engine.drive(rig.core.sync(true));
    assertEquals(await rig.engine.settled(rig.core.sync(true)), 700);
    await finish(rig);
  },

  async "what was filled in while a tail is in flight waits until it is done"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 2048 });
    rig.fill(700);
    const first = rig.sync(true);
    assertEquals(rig.engine.describePending(), "write 0+512, write 512+512");
    rig.fill(1348);
    // The buffer is full, but its second block is being written.
    assertEquals(rig.engine.describePending(), "write 0+512, write 512+512");
    rig.engine.complete(rig.engine.pending[0]!);
    assertEquals(rig.writing, [512]);
    rig.engine.complete(rig.engine.pending[0]!);
    await turn();
    assertEquals(rig.core.flushedPosition, 700);
    assertEquals(rig.engine.describePending(), "write 512+1536, sync");
    rig.engine.completeAll([1, 0]);
    await turn();
    assertEquals(first.value, 700);
    await finish(rig);
  },

  async "a tail twice, with more bytes between, is written one after the other"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 2048, writeBehind: 4 });
    rig.fill(100);
    const first = rig.sync(true);
    rig.fill(100);
    const second = rig.sync(true);
    rig.fill(500);
    const third = rig.sync(true);
    assertEquals(rig.engine.describePending(), "write 0+512");
    rig.engine.complete(rig.only("write"));
    await turn();
    assertEquals(rig.core.flushedPosition, 100);
    await rig.engine.drain();
    assertEquals([first.value, second.value, third.value], [100, 700, 700]);
    await finish(rig);
  },

  async "tails asked for faster than they are written take one copy, not one each"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 4096, alignment: 4096 });
    const calls = [];
    for (let count = 0; count < 100; count++) {
      rig.fill(10);
      calls.push(rig.sync(true));
    }
    // The buffer, and one copy of its only block.
    assertEquals(rig.engine.mostBytes, 2 * 4096);
    await rig.engine.drain();
    assertEquals(calls.map(({ state }) => state), Array(100).fill("resolved"));
    assertEquals(calls.at(-1)!.value, 1000);
    assertEquals(rig.engine.counters.writes, 2);
    await finish(rig);
  },

  async "a tail behind full buffers waits for its turn"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(2048 + 300);
    const synced = rig.sync(true);
    assertEquals(rig.writing, [0, 1024]);
    rig.engine.complete(rig.engine.pending[1]!);
    await turn();
    assertEquals(rig.writing, [0, 2048]);
    rig.engine.complete(rig.engine.pending[1]!);
    await turn();
    assertEquals([rig.core.flushedPosition, synced.state], [0, "pending"]);
    await rig.engine.drain();
    assertEquals(synced.value, 2348);
    await finish(rig);
  },

  async "the length is exact after a sync with the tail where nothing may be ahead of it"(Core) {
    const rig = await Rig.make(Core, { preallocate: false });
    for (const end of [700, 1400, 2100, 4000]) {
      rig.fill(end - rig.core.position);
      const synced = rig.sync(true);
      await rig.engine.drive(synced.promise);
      assertEquals(synced.value, end);
      assertEquals(rig.engine.file(rig.fd).durable.length, end);
    }
    await finish(rig);
  },

  async "what is filled while the padding is cut is written afterwards"(Core) {
    const rig = await Rig.make(Core, { preallocate: false });
    rig.fill(700);
    const synced = rig.sync(true);
    rig.engine.completeAll();
    await turn();
    assertEquals(rig.engine.describePending(), "truncate 700");
    rig.fill(2000);
    const second = rig.sync(true);
    assertEquals(rig.engine.describePending(), "truncate 700");
    rig.engine.complete(rig.only("truncate"));
    await turn();
    assertEquals(rig.writing, [512, 1024]);
    await rig.engine.drain();
    assertEquals([synced.value, second.value], [700, 2700]);
    await finish(rig);
  },

  async "finish does not write a tail again that is there already"(Core) {
    for (const length of [700, 1024, 1536]) {
      const rig = await Rig.make(Core, { bufferSize: 2048 });
      rig.fill(length);
      await rig.engine.drive(rig.core.sync(true));
      const { writes } = rig.engine.counters;
      await finish(rig);
      assertEquals(rig.engine.counters.writes, writes);
    }
  },
} satisfies Checks;
