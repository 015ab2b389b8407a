// Writers that share memory: while all of them hold too much, each has one small buffer, and still comes to its end.

import { assertEquals } from "@std/assert";
import { BufferBudget, CROWDED_BUFFER_SIZE } from "../../../src/engine/buffer_budget.ts";
import { type Checks, finish, Rig } from "./rig.ts";

const MIB = 1 << 20;

/** Position and length of each write in flight. */
function written(rig: Rig): [number, number][] {
  return rig.engine.pendingOf("write").map(({ position, length }) => [position, length]);
}

export const sharing = {
  async "with a budget to spare, buffers are as large and as many as they should be"(Core) {
    const budget = new BufferBudget(64 * MIB);
    const rig = await Rig.make(Core, { bufferSize: MIB, writeBehind: 2, budget });
    rig.fill(3 * MIB);
    assertEquals(written(rig), [[0, MIB], [MIB, MIB]]);
    assertEquals(budget.held, 3 * MIB);
    await finish(rig);
    assertEquals(budget.held, 0);
  },

  async "with a budget that is spent there is one buffer of 256 KiB, which fills and then flies"(
    Core,
  ) {
    const budget = new BufferBudget(0);
    const rig = await Rig.make(Core, { bufferSize: MIB, writeBehind: 4, budget });
    rig.fill(CROWDED_BUFFER_SIZE);
    assertEquals(written(rig), [[0, CROWDED_BUFFER_SIZE]]);
    assertEquals(rig.core.hasRoom, false);
    assertEquals(rig.core.write(new Uint8Array(1)), 0);
    const room = rig.core.room();
    rig.engine.complete(rig.only("write"));
    await room;
    assertEquals(rig.core.hasRoom, true);
    rig.fill(10);
    assertEquals(budget.held, CROWDED_BUFFER_SIZE);
    await finish(rig);
    assertEquals(budget.held, 0);
  },

  async "a writer goes on with large buffers when others have given theirs back"(Core) {
    const budget = new BufferBudget(64 * MIB);
    budget.take(64 * MIB);
    const rig = await Rig.make(Core, { bufferSize: MIB, writeBehind: 4, budget });
    rig.fill(CROWDED_BUFFER_SIZE);
    rig.engine.complete(rig.only("write"));
    budget.giveBack(64 * MIB);
    rig.fill(2 * MIB);
    assertEquals(written(rig), [
      [CROWDED_BUFFER_SIZE, MIB],
      [CROWDED_BUFFER_SIZE + MIB, MIB],
    ]);
    await finish(rig);
  },

  async "a buffer that was begun when there was memory is filled to its end"(Core) {
    const budget = new BufferBudget(64 * MIB);
    const rig = await Rig.make(Core, { bufferSize: MIB, writeBehind: 1, budget });
    rig.fill(MIB + 100);
    budget.take(64 * MIB);
    rig.fill(MIB - 100);
    rig.engine.complete(rig.only("write"));
    assertEquals(written(rig), [[MIB, MIB]]);
    budget.giveBack(64 * MIB);
    await finish(rig);
    assertEquals(budget.held, 0);
  },

  async "blocks larger than 256 KiB are written whole all the same"(Core) {
    const budget = new BufferBudget(0);
    const rig = await Rig.make(Core, { bufferSize: MIB, alignment: 512 * 1024, budget });
    rig.fill(MIB / 2);
    assertEquals(written(rig), [[0, MIB / 2]]);
    await finish(rig);
    assertEquals(budget.held, 0);
  },

  async "without a budget, numbers that were asked for are kept whatever others hold"(Core) {
    const rig = await Rig.make(Core, { bufferSize: MIB, writeBehind: 2 });
    rig.engine.budget = new BufferBudget(0);
    rig.fill(3 * MIB);
    assertEquals(written(rig), [[0, MIB], [MIB, MIB]]);
    await finish(rig);
  },
} satisfies Checks;
