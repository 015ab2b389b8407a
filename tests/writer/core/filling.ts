// How bytes get into buffers: the small first one, memory that is handed over, a start inside a block, and bytes
// that stand in the file already.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../src/engine/linux.ts";
import { turn } from "../../support/scripted_engine.ts";
import { randomPlan } from "../../support/scripted_operation.ts";
import { type Checks, finish, oldContent, pattern, Rig } from "./rig.ts";

const KIB = 1024;

export const filling = {
  async "a small file takes no more than a small buffer"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 1024 * KIB });
    rig.fill(100);
    assertEquals(rig.engine.mostBytes, 64 * KIB);
    await finish(rig);
  },

  async "the first buffer grows to a full one, and is written as one"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 256 * KIB });
    rig.fill(64 * KIB);
    rig.fill(1);
    assertEquals(rig.writing, []);
    rig.fill(192 * KIB - 1);
    const { position, length } = rig.only("write");
    assertEquals([position, length], [0, 256 * KIB]);
    rig.fill(100);
    assert(rig.engine.mostBytes <= 2 * 256 * KIB + 64 * KIB);
    await finish(rig);
  },

  async "the first buffer grows behind a tail that is whole"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 256 * KIB });
    rig.fill(5000);
    await rig.engine.drive(rig.sync(true).promise);
    rig.fill(251 * KIB);
    await finish(rig);
    // Every whole block went once, and the one in which the tail ended twice.
    assertEquals(rig.engine.counters.bytesWritten, 256 * KIB + 512);
  },

  async "the first buffer does not grow while a part of it is in flight"(Core) {
    for (const order of [[0, 1], [1, 0]]) {
      const rig = await Rig.make(Core, { bufferSize: 256 * KIB });
      rig.fill(5000);
      const synced = rig.sync(true);
      const parts = [...rig.engine.pending];
      rig.fill(200 * KIB);
      for (const index of order) rig.engine.complete(parts[index]!);
      await rig.engine.drive(synced.promise);
      await finish(rig);
    }
  },

  async "a first buffer that is smaller than a block is a block"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 256 * KIB, alignment: 128 * KIB });
    rig.fill(100 * KIB);
    await rig.engine.drive(rig.sync(true).promise);
    rig.fill(3 * KIB);
    await finish(rig);
  },

  async "chunks of any size come out as they went in"(Core) {
    for (const size of [1, 3, 511, 512, 513, 1023, 1024, 1025, 4095, 10_000]) {
      const rig = await Rig.make(Core);
      const chunk = pattern(0, 7000);
      for (let from = 0; from < chunk.length;) {
        const part = chunk.subarray(from, from + size);
        for (let at = 0; at < part.length;) {
          at += rig.core.write(part, at);
          if (at < part.length) await rig.engine.drive(rig.core.room());
        }
        from += part.length;
      }
      await finish(rig);
    }
  },

  async "memory that is handed over is written as it is, and given back once"(Core) {
    const rig = await Rig.make(Core, { writeBehind: 2 });
    let released = 0;
    const hand = (length: number) => {
      const block = rig.engine.acquire(length);
      block.bytes.set(pattern(rig.core.position, rig.core.position + length));
      rig.core.writeMemory(block, length, () => {
        released++;
        rig.engine.release(block);
      });
    };
    assert(rig.core.takesMemory);
    hand(4096);
    hand(512);
    assertEquals(rig.writing, [0, 4096]);
    hand(1024);
    assert(!rig.core.takesMemory, "three buffers are all there may be");
    assertEquals(rig.writing, [0, 4096]);
    rig.engine.complete(rig.engine.pending[1]!);
    assertEquals([rig.writing, released, rig.core.flushedPosition], [[0, 4608], 1, 0]);
    rig.fill(100);
    assert(!rig.core.takesMemory, "a buffer is partly filled");
    await rig.engine.drive(rig.sync(true).promise);
    rig.fill(1000);
    await finish(rig);
    assertEquals(released, 3);
  },

  async "memory that is handed over is given back after a failure, written or not"(Core) {
    const rig = await Rig.make(Core, { writeBehind: 1 });
    let released = 0;
    for (let count = 0; count < 2; count++) {
      const block = rig.engine.acquire(512);
      block.bytes.set(pattern(count * 512, count * 512 + 512));
      rig.core.writeMemory(block, 512, () => {
        released++;
        rig.engine.release(block);
      });
    }
    rig.engine.fail(rig.only("write"), Errno.EIO);
    assertEquals(released, 2);
    assert(!rig.core.takesMemory);
    await turn();
    assertEquals(rig.engine.describePending(), "nothing");
  },

  async "a start inside a block keeps what stands before it"(Core) {
    for (const start of [1, 511, 512, 700, 1024, 1500]) {
      for (const length of [1, 12, 400, 1024, 3000]) {
        const rig = await Rig.make(Core, { content: oldContent(start), start });
        assertEquals([rig.core.position, rig.core.flushedPosition], [start, start]);
        for (let left = length; left > 0;) {
          left -= rig.write(left);
          if (left > 0) await rig.step();
        }
        await finish(rig);
      }
    }
  },

  async "a start past the end of the file leaves zeros between"(Core) {
    const rig = await Rig.make(Core, { content: oldContent(100), start: 1300 });
    rig.fill(10);
    await rig.engine.drive(rig.core.finish(true));
    rig.assertQuiet();
    const content = rig.engine.file(rig.fd).content();
    assertEquals(content.length, 1310);
    assertEquals(content.subarray(0, 100), oldContent(100));
    assertEquals(content.subarray(100, 1300), new Uint8Array(1200));
    assertEquals(content.subarray(1300), pattern(1300, 1310));
  },

  async "bytes behind the end stay, wherever writing stops"(Core) {
    for (const end of [1, 500, 511, 512, 513, 1023, 1024, 1025, 1999, 2000, 2001, 2048, 2500]) {
      for (const start of [0, 300]) {
        if (start >= end) continue;
        const rig = await Rig.make(Core, { content: oldContent(2000), start, writeBehind: 4 });
        rig.fill(end - start);
        await finish(rig);
      }
    }
  },

  async "bytes behind a tail stay, also where more tails follow in that block"(Core) {
    for (const step of [30, 100, 256, 512, 700]) {
      const rig = await Rig.make(Core, { content: oldContent(4000), start: 100 });
      while (rig.core.position < 4500) {
        rig.fill(Math.min(step, 1024));
        await rig.engine.drive(rig.sync(true).promise);
      }
      await finish(rig);
      // Each block is read at most once.
      assert(rig.engine.counters.reads <= 8, `${rig.engine.counters.reads} reads`);
    }
  },

  async "filling goes on while the bytes behind the tail are read"(Core) {
    for (const more of [1, 100, 300, 800, 2000]) {
      const rig = await Rig.make(Core, { content: oldContent(9000) });
      rig.fill(200);
      const synced = rig.sync(true);
      assertEquals(rig.engine.describePending(), "read 0+512");
      rig.write(more);
      await rig.engine.drain();
      assertEquals(synced.state, "resolved");
      await finish(rig);
    }
  },

  async "finish while the bytes behind the tail are read waits for them"(Core) {
    for (const more of [0, 100, 400]) {
      const rig = await Rig.make(Core, { content: oldContent(9000) });
      rig.fill(200);
      rig.sync(true);
      rig.fill(more);
      const finished = rig.call("finish", rig.core.finish(true));
      await rig.engine.drain();
      assertEquals(finished.state, "resolved");
      rig.assertQuiet();
      rig.assertFile();
    }
  },

  async "a read of the bytes behind the end that ends early is done again"(Core) {
    for (const short of [0, 100, 400]) {
      const rig = await Rig.make(Core, { content: oldContent(480) });
      rig.fill(200);
      const synced = rig.sync(true);
      rig.engine.shorten(rig.only("read"), short);
      await turn();
      rig.engine.complete(rig.only("stat"));
      await turn();
      rig.engine.fail(rig.only("read"), Errno.EINTR);
      await rig.engine.drive(synced.promise);
      await finish(rig);
    }
  },

  async "bytes behind the end that cannot be read are not overwritten with zeros"(Core) {
    const rig = await Rig.make(Core, { content: oldContent(2000) });
    rig.fill(200);
    const synced = rig.sync(true);
    for (let count = 0; rig.engine.pending.length > 0; count++) {
      assert(count < 1000, "it is tried for ever");
      const [operation] = rig.engine.pending;
      rig.engine.complete(operation!, operation!.kind === "read" ? 300 : 0);
      await turn();
    }
    assertEquals(synced.state, "rejected");
    assertEquals(rig.failures.map(({ code, op }) => [code, op]), [["EIO", "read"]]);
    await rig.leave();
    assertEquals(rig.engine.file(rig.fd).content(), oldContent(2000));
  },

  async "a length that cannot be found out is a failure"(Core) {
    const rig = await Rig.make(Core, { content: oldContent(2000) });
    rig.fill(200);
    rig.sync(true);
    rig.engine.shorten(rig.only("read"), 300);
    await turn();
    rig.engine.fail(rig.only("stat"), Errno.EIO);
    await turn();
    assertEquals(rig.failures.map(({ code }) => code), ["EIO"]);
    await rig.leave();
  },

  async "a file that somebody has cut in the meantime is padded with zeros"(Core) {
    const rig = await Rig.make(Core, { content: oldContent(300), keep: 2000 });
    rig.engine.afterEach = () => {};
    assertEquals(rig.core.write(pattern(0, 200)), 200);
    await rig.engine.drive(rig.core.sync(true));
    const content = rig.engine.file(rig.fd).content();
    assertEquals(content.subarray(0, 200), pattern(0, 200));
    assertEquals(content.subarray(200, 300), oldContent(300).subarray(200));
    assertEquals(content.subarray(300), new Uint8Array(212));
    await rig.engine.drive(rig.core.finish(true));
    rig.assertQuiet();
  },

  async "what somebody else writes behind the end meanwhile stays"(Core) {
    for (const preallocate of [true, false]) {
      const rig = await Rig.make(Core, { preallocate });
      rig.fill(700);
      await rig.engine.drive(rig.sync(true).promise);
      rig.putBehind(1536, oldContent(1024));
      rig.fill(100);
      await rig.engine.drive(rig.sync(true).promise);
      rig.fill(800);
      await finish(rig);
      assertEquals(rig.engine.file(rig.fd).size, 2560);
    }
  },

  async "old bytes, odd starts and tails at random leave everything else as it was"(Core) {
    for (let seed = 1; seed <= 40; seed++) {
      const plan = randomPlan(seed, { short: 0.2 });
      const content = oldContent(seed * 613 % 6000);
      const start = seed * 389 % (content.length + 1);
      const rig = await Rig.make(Core, { content, start, preallocate: seed % 3 !== 0 });
      for (let count = 0; count < 12; count++) {
        rig.write(1 + (seed * 31 + count * 211) % 700);
        if ((seed + count) % 2 === 0) rig.sync(true);
        await rig.step(plan);
      }
      await finish(rig, plan);
    }
  },
} satisfies Checks;
