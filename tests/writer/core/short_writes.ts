// Writes that the kernel ends early: they are continued, and the bytes are right; or they fail.

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Errno } from "../../../src/engine/linux.ts";
import { turn } from "../../support/scripted_engine.ts";
import type { Held } from "../../support/scripted_operation.ts";
import { type Checks, finish, Rig } from "./rig.ts";

/** More attempts than this without a byte of progress are no patience any more, but a hang. */
const MOST_ATTEMPTS = 1000;

/** Where a write of four blocks of 512 may stop: on both sides of each block, and in the middle. */
const CUTS = [0, 1, 255, 511, 512, 513, 1000, 1023, 1024, 1025, 1535, 1536, 1537, 2046, 2047];

/** Ends the write at `position` early again and again until none comes; returns how often. */
async function starve(rig: Rig, end: (write: Held) => void): Promise<number> {
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts++) {
    for (const pause of rig.engine.pendingOf("pause")) rig.engine.complete(pause);
    const [write] = rig.engine.pendingOf("write");
    if (!write) return attempts;
    end(write);
    await turn();
  }
  throw new Error(`Still tried again after ${MOST_ATTEMPTS} attempts`);
}

function codeOf(error: unknown): string {
  assertInstanceOf(error, Error);
  return (error as Error & { code: string }).code;
}

export const shortWrites = {
  async "a write cut anywhere is taken up from the block where it stopped"(Core) {
    for (const cut of CUTS) {
      const rig = await Rig.make(Core, { bufferSize: 2048 });
      rig.fill(2048);
      rig.engine.shorten(rig.only("write"), cut);
      await turn();
      assertEquals(rig.core.flushedPosition, 0, `flushed after ${cut} bytes`);
      const { position, length } = rig.only("write");
      assertEquals([position, length], [cut - cut % 512, 2048 - (cut - cut % 512)]);
      rig.engine.complete(rig.only("write"));
      assertEquals(rig.core.flushedPosition, 2048);
      await finish(rig);
    }
  },

  async "a write cut twice, anywhere, is continued twice"(Core) {
    for (const first of CUTS) {
      for (const second of CUTS) {
        const rig = await Rig.make(Core, { bufferSize: 2048 });
        rig.fill(2048 + 700);
        rig.engine.shorten(rig.only("write"), first);
        rig.engine.shorten(rig.only("write"), Math.min(second, rig.only("write").length - 1));
        assertEquals(rig.core.flushedPosition, 0);
        await finish(rig);
      }
    }
  },

  async "a write that brings one block at a time gets there"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 16 * 512 });
    rig.fill(16 * 512);
    const attempts = await starve(rig, (write) => rig.engine.shorten(write, 512));
    assertEquals(attempts, 16);
    assertEquals(rig.core.flushedPosition, 16 * 512);
    await finish(rig);
  },

  async "a write that stops now and then, but goes on, gets there"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 16 * 512 });
    rig.fill(16 * 512);
    let count = 0;
    await starve(rig, (write) => rig.engine.shorten(write, count++ % 2 === 0 ? 100 : 512));
    assertEquals(rig.failures, []);
    assertEquals(rig.core.flushedPosition, 16 * 512);
    await finish(rig);
  },

  async "a write that never brings a block fails with EIO"(Core) {
    for (const stop of [0, 1, 511]) {
      const rig = await Rig.make(Core);
      rig.fill(1024 + 100);
      const synced = rig.sync();
      const attempts = await starve(rig, (write) => rig.engine.shorten(write, stop));
      assert(attempts >= 2, "it was not tried again");
      assertEquals(synced.state, "rejected");
      assertEquals(codeOf(synced.value), "EIO");
      assertEquals(rig.failures, [synced.value]);
      assertEquals(rig.core.flushedPosition, 0);
      await rig.assertSticky(synced.value);
      await rig.leave();
    }
  },

  async "a write that ends early, and then fails, fails with that error"(Core) {
    const rig = await Rig.make(Core, { bufferSize: 2048, writeBehind: 3 });
    rig.fill(3 * 2048);
    const [first, second, third] = [...rig.engine.pending];
    rig.engine.complete(first!);
    rig.engine.shorten(second!, 1024);
    rig.engine.fail(rig.engine.pending.at(-1)!, Errno.ENOSPC);
    rig.engine.complete(third!);
    await turn();
    assertEquals(codeOf(rig.core.error), "ENOSPC");
    assertEquals(rig.core.flushedPosition, 2048);
    await rig.assertSticky(rig.core.error);
    await rig.leave();
    assertEquals(rig.engine.file(rig.fd).size, 2048);
  },

  async "an interrupted write is tried again"(Core) {
    for (const errno of [Errno.EINTR, Errno.EAGAIN]) {
      const rig = await Rig.make(Core);
      rig.fill(1024);
      rig.engine.fail(rig.only("write"), errno);
      // The second attempt comes at once, the third after a pause.
      rig.engine.fail(rig.only("write"), errno);
      assertEquals(rig.engine.describePending(), "pause");
      assertEquals(rig.failures, []);
      await finish(rig);
    }
  },

  async "a write that is interrupted for ever fails"(Core) {
    for (const errno of [Errno.EINTR, Errno.EAGAIN]) {
      const rig = await Rig.make(Core);
      rig.fill(1024);
      await starve(rig, (write) => rig.engine.fail(write, errno));
      assertEquals(rig.failures.length, 1);
      await rig.leave();
    }
  },

  async "a write that is in flight when another one fails comes to its end"(Core) {
    for (const result of [-Errno.EINTR, -Errno.EAGAIN, 0, 512]) {
      const rig = await Rig.make(Core);
      rig.fill(2048);
      const [first, second] = [...rig.engine.pending];
      rig.engine.fail(first!, Errno.EIO);
      rig.engine.complete(second!, result);
      const from = 1024 + Math.max(0, result);
      assertEquals(rig.writing, [from], `after ${result}`);
      await rig.leave();
    }
  },

  async "the copy of a tail that is written short is continued, and written again later"(Core) {
    for (const cut of [0, 100, 511]) {
      const rig = await Rig.make(Core);
      rig.fill(300);
      const synced = rig.sync(true);
      rig.engine.shorten(rig.only("write"), cut);
      rig.fill(300);
      await rig.engine.drive(synced.promise);
      assertEquals(synced.value, 300);
      await finish(rig);
    }
  },

  async "the last write cut anywhere still leaves the exact length"(Core) {
    for (const cut of CUTS) {
      const rig = await Rig.make(Core, { bufferSize: 4096 });
      rig.fill(2000);
      const finished = rig.call("finish", rig.core.finish(true));
      await turn();
      rig.engine.shorten(rig.only("write"), cut);
      await rig.engine.drive(finished.promise);
      rig.assertQuiet();
      rig.assertFile(2000);
    }
  },
} satisfies Checks;
