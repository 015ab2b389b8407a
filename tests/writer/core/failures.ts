// An error anywhere: the first one is final, what is flushed stays true, and everything is given back.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../src/engine/linux.ts";
import { turn } from "../../support/scripted_engine.ts";
import { type Held, inOrder, type Plan, randomPlan } from "../../support/scripted_operation.ts";
import { type Checks, type Core, finish, oldContent, Rig, type RigOptions } from "./rig.ts";

/** Something of everything: full buffers, syncs with and without the tail, a file that has bytes already. */
async function everything(rig: Rig, plan: Plan): Promise<void> {
  const { core, engine } = rig;
  const go = async () => {
    await turn();
    engine.step(plan);
  };
  rig.write(700);
  rig.sync(true);
  await go();
  rig.write(1700);
  rig.sync();
  rig.sync(true);
  await go();
  rig.write(400);
  await go();
  rig.flush();
  for (let count = 0; count < 6; count++) {
    rig.write(900);
    await go();
  }
  rig.sync(true);
  await go();
  rig.write(333);
  rig.call("finish", core.finish(true));
  await engine.drain(plan);
}

/** The plan, but its operation number `index` fails. Tells which that was. */
function failing(plan: Plan, index: number, errno: number): Plan & { failed?: Held } {
  let count = 0;
  return {
    name: `${plan.name}, operation ${index} fails`,
    choose(pending) {
      const [operation, outcome] = plan.choose(pending);
      if (operation.kind === "pause" || count++ !== index) return [operation, outcome];
      this.failed = operation;
      const reached = Math.floor(operation.length / 2);
      return [operation, { errno, reached: operation.kind === "allocate" ? reached : 0 }];
    },
  };
}

/** Kinds of files, so that every kind of operation is among those that fail. */
const FILES: Record<string, RigOptions> = {
  "new": {},
  "with old bytes": { content: oldContent(20_000), start: 5000 },
  "with an exact length": { preallocate: false },
  "with a size hint": { sizeHint: 50_000 },
};

/** Fails each operation of the story once. Returns the kinds that failed. */
async function failEach(Core: Core, plan: () => Plan) {
  const kinds = new Set<string>();
  for (const [, options] of Object.entries(FILES)) {
    for (let index = 0;; index++) {
      const rig = await Rig.make(Core, options);
      const unlucky = failing(plan(), index, Errno.EIO);
      await everything(rig, unlucky);
      if (!unlucky.failed) {
        assert(index > 10, `the story has ${index} operations`);
        break;
      }
      kinds.add(unlucky.failed.kind);
      await assertFailed(rig, unlucky);
    }
  }
  return kinds;
}

async function assertFailed(rig: Rig, unlucky: Plan & { failed?: Held }): Promise<void> {
  const where = `${unlucky.failed!.kind} ${unlucky.failed!.position} (${unlucky.name})`;
  const { failures } = rig;
  if (unlucky.failed!.kind === "allocate") {
    assertEquals(failures, [], where);
    rig.assertQuiet();
    rig.assertFile();
    return;
  }
  assertEquals(failures.length, 1, where);
  const error = failures[0]!;
  assertEquals([error.code, error.op], ["EIO", unlucky.failed!.kind], where);
  for (const { name, state, value } of rig.calls) {
    assert(state !== "pending", `${name} never settles after ${where}`);
    if (state === "rejected") assert(value === error, `${name} rejects with ${value}: ${where}`);
  }
  assertEquals(rig.calls.at(-1)!.state, "rejected", `finish after ${where}`);
  await rig.assertSticky(error);
  await rig.leave();
}

export const failures = {
  async "an error of any single operation is final, and fails every later call"(Core) {
    const kinds = await failEach(Core, () => inOrder);
    assertEquals([...kinds].sort(), ["allocate", "read", "sync", "truncate", "write"]);
  },

  async "an error of any single operation is final when they complete in any order"(Core) {
    for (let seed = 1; seed <= 6; seed++) await failEach(Core, () => randomPlan(seed));
  },

  async "an error of any single operation is final when writes are short as well"(Core) {
    for (let seed = 1; seed <= 6; seed++) {
      await failEach(Core, () => randomPlan(seed, { short: 0.4 }));
    }
  },

  async "the first error wins, whatever fails after it"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(2048);
    const [first, second] = [...rig.engine.pending];
    rig.engine.fail(second!, Errno.ENOSPC);
    rig.engine.fail(first!, Errno.EIO);
    assertEquals(rig.failures.map(({ code }) => code), ["ENOSPC"]);
    await rig.assertSticky(rig.failures[0]);
    await rig.leave();
  },

  async "what waits for a place is not written after a failure"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(3072);
    assertEquals(rig.writing, [0, 1024]);
    rig.engine.fail(rig.engine.pending[0]!, Errno.EIO);
    assertEquals(rig.writing, [1024]);
    rig.engine.complete(rig.only("write"));
    await turn();
    assertEquals(rig.writing, []);
    assertEquals(rig.core.flushedPosition, 0);
    await rig.leave();
    assertEquals(rig.engine.file(rig.fd).size, 0);
  },

  async "flushedPosition takes in what completes after a failure further on"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(2048);
    const [first, second] = [...rig.engine.pending];
    rig.engine.fail(second!, Errno.EIO);
    rig.engine.complete(first!);
    assertEquals(rig.core.flushedPosition, 1024);
    await rig.leave();
    assertEquals(rig.engine.file(rig.fd).size, 1024);
  },

  async "whoever waits for room is told of the failure"(Core) {
    const rig = await Rig.make(Core);
    rig.write(10_000);
    const rooms = [rig.call("room", rig.core.room()), rig.call("room", rig.core.room())];
    rig.engine.fail(rig.engine.pending[0]!, Errno.EIO);
    await turn();
    for (const room of rooms) {
      assertEquals([room.state, room.value], ["rejected", rig.failures[0]]);
    }
    rig.engine.completeAll();
    await rig.leave();
  },

  async "a failed sync fails those that wait for it and those behind it, and is not tried again"(
    Core,
  ) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    const first = rig.sync();
    rig.engine.complete(rig.only("write"));
    await turn();
    const second = rig.sync();
    rig.fill(1024);
    const third = rig.sync();
    await turn();
    rig.engine.fail(rig.only("sync"), Errno.EIO);
    rig.engine.completeAll();
    await turn();
    for (const call of [first, second, third]) {
      assertEquals([call.state, call.value], ["rejected", rig.failures[0]]);
    }
    assertEquals(rig.engine.describePending(), "nothing");
    await rig.assertSticky(rig.failures[0]);
    await rig.leave();
    assertEquals(rig.engine.counters.syncs, 1);
  },

  async "a sync that waits behind one that is running is not resolved before it is durable"(Core) {
    // Nothing was written, but the file is new: its length is not durable yet.
    const rig = await Rig.make(Core, { unsynced: true });
    const first = rig.sync();
    await turn();
    const second = rig.sync();
    await turn();
    assertEquals([first.state, second.state], ["pending", "pending"]);
    rig.engine.fail(rig.only("sync"), Errno.EIO);
    await turn();
    assertEquals([first.state, second.state], ["rejected", "rejected"]);
    await rig.leave();
  },

  async "the failure of the cut at an abort is what abort resolves to"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1500);
    const aborted = rig.core.abort(new Error("aborted"));
    rig.engine.completeAll();
    await turn();
    // The tail was never written, so there is nothing to cut.
    assertEquals(await rig.engine.settled(aborted), undefined);

    const padded = await Rig.make(Core);
    padded.fill(1500);
    await padded.engine.drive(padded.sync(true).promise);
    const cut = padded.core.abort(new Error("aborted"));
    await turn();
    padded.engine.fail(padded.only("truncate"), Errno.EIO);
    assertEquals((await padded.engine.settled(cut))?.code, "EIO");
    padded.assertQuiet();
  },

  async "a failure without a call to see it is told once"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    rig.engine.fail(rig.only("write"), Errno.EIO);
    await turn();
    assertEquals(rig.failures.length, 1);
    assert(rig.core.error === rig.failures[0]);
    await rig.leave();
  },

  async "an error without a number in the table is told by its number"(Core) {
    const rig = await Rig.make(Core);
    rig.fill(1024);
    rig.engine.fail(rig.only("write"), 99);
    assertEquals(rig.failures[0]!.errno, 99);
    await rig.leave();
    await finish(await Rig.make(Core));
  },
} satisfies Checks;
