// The end of file that is moved ahead of the writes: when, how far, and that nothing of it is left.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../../src/engine/linux.ts";
import { turn } from "../../support/scripted_engine.ts";
import { inOrder, type Plan } from "../../support/scripted_operation.ts";
import { type Checks, finish, oldContent, Rig } from "./rig.ts";

const MIB = 1024 * 1024;

/** Fills up to `end` as room comes, and completes as the plan says. */
async function fillTo(rig: Rig, end: number, plan: Plan = inOrder): Promise<void> {
  const chunk = new Uint8Array(MIB / 2);
  // What is in it is not what these are about, and comparing megabytes takes its time.
  rig.engine.afterEach = () => rig.engine.assertSound();
  while (rig.core.position < end) {
    const bytes = chunk.subarray(0, Math.min(chunk.length, end - rig.core.position));
    if (rig.core.write(bytes) === 0) await rig.engine.drive(rig.core.room(), plan);
  }
}

function allocations(rig: Rig): string[] {
  return rig.engine.log.filter((entry) => entry.startsWith("+ allocate"));
}

/** The file as long as it should be, and nothing held. */
async function finishLarge(rig: Rig, plan: Plan = inOrder): Promise<void> {
  await rig.engine.drive(rig.core.finish(true), plan);
  rig.assertQuiet();
  assertEquals(rig.failures, []);
  assertEquals(rig.core.flushedPosition, rig.core.position);
  const { size, durable } = rig.engine.file(rig.fd);
  assertEquals([size, durable.length], [rig.core.position, rig.core.position]);
}

/** The plan, but allocations fail, after so many bytes all the same. */
function withoutSpace(errno: number, reached: (length: number) => number): Plan {
  return {
    name: "no space",
    choose(pending) {
      const allocate = pending.find(({ kind }) => kind === "allocate");
      return allocate
        ? [allocate, { errno, reached: reached(allocate.length) }]
        : [pending[0]!, {}];
    },
  };
}

const large = { bufferSize: MIB / 4, writeBehind: 4 };

export const endOfFile = {
  async "a small file is not moved ahead"(Core) {
    const rig = await Rig.make(Core, large);
    await fillTo(rig, MIB);
    await finishLarge(rig);
    assertEquals(allocations(rig), []);
  },

  async "the end of a large file is moved ahead of the writes, in few steps"(Core) {
    const rig = await Rig.make(Core, large);
    let behind = 0;
    let writes = 0;
    await fillTo(rig, 9 * MIB);
    await rig.engine.drain();
    rig.engine.afterEach = ({ kind, position, length }) => {
      if (kind !== "write") return;
      writes++;
      if (rig.engine.file(rig.fd).size === position + length) behind++;
    };
    for (let end = 10; end <= 45; end++) {
      const bytes = new Uint8Array(MIB);
      for (let at = 0; at < bytes.length;) {
        at += rig.core.write(bytes, at);
        if (at < bytes.length) await rig.engine.drive(rig.core.room());
      }
    }
    assert(writes > 100);
    assertEquals(behind, 0, "writes that moved the end of file");
    assert(allocations(rig).length <= 8, `${allocations(rig)}`);
    await finishLarge(rig);
  },

  async "a step is with the kernel without anyone waiting for it"(Core) {
    const rig = await Rig.make(Core, large);
    await fillTo(rig, 9 * MIB, {
      name: "allocations hang",
      choose: (pending) => [pending.find(({ kind }) => kind !== "allocate")!, {}],
    });
    const flushed = rig.flush();
    while (rig.engine.pendingOf("write").length > 0) {
      rig.engine.complete(rig.engine.pendingOf("write")[0]!);
    }
    await turn();
    assertEquals(flushed.state, "resolved");
    assertEquals(rig.engine.pending.map(({ kind }) => kind), ["allocate"]);
    // The end waits for it: what came after the cut would make the file longer again.
    const finished = rig.call("finish", rig.core.finish(true));
    await turn();
    assertEquals(rig.engine.pending.map(({ kind }) => kind), ["allocate"]);
    await rig.engine.drive(finished.promise);
    rig.assertQuiet();
    assertEquals(rig.engine.file(rig.fd).size, 9 * MIB);
  },

  async "abort waits for a step, and cuts what it added"(Core) {
    const rig = await Rig.make(Core, { sizeHint: 50_000 });
    rig.fill(2048);
    rig.engine.complete(rig.engine.pendingOf("write")[0]!);
    const aborted = rig.call("abort", rig.core.abort(new Error("aborted")));
    rig.engine.complete(rig.only("write"));
    await turn();
    assertEquals([aborted.state, rig.engine.describePending()], ["pending", "allocate 0+50000"]);
    await rig.engine.drive(aborted.promise);
    assertEquals(rig.engine.file(rig.fd).size, 2048);
    rig.assertQuiet();
  },

  async "without preallocate the file never ends past what is written"(Core) {
    const rig = await Rig.make(Core, { ...large, preallocate: false, sizeHint: 100 * MIB });
    await fillTo(rig, 10 * MIB);
    await rig.engine.drain();
    assertEquals(allocations(rig), []);
    assertEquals(rig.engine.file(rig.fd).size, 10 * MIB);
    await finishLarge(rig);
  },

  async "a size that was hinted is reserved once, and given back where it is not used"(Core) {
    const rig = await Rig.make(Core, { sizeHint: 50_000, start: 700, content: oldContent(900) });
    rig.fill(2800);
    rig.engine.completeAll();
    assertEquals(allocations(rig), ["+ allocate 700+50000"]);
    await finish(rig);
    assertEquals(rig.engine.file(rig.fd).size, 3500);
  },

  async "a size that was hinted is reserved in one step, also where the last block goes past it"(
    Core,
  ) {
    for (const size of [3 * MIB, 9 * MIB + 1, 10_000_000, 20 * MIB - 100]) {
      const rig = await Rig.make(Core, { ...large, sizeHint: size });
      await fillTo(rig, size);
      await finishLarge(rig);
      assertEquals(allocations(rig), [`+ allocate 0+${size}`]);
    }
  },

  async "a size that was hinted too small is no limit"(Core) {
    const rig = await Rig.make(Core, { ...large, sizeHint: MIB });
    await fillTo(rig, 10 * MIB);
    await finishLarge(rig);
    assert(allocations(rig).length > 1);
  },

  async "a size that was hinted exactly needs no cut"(Core) {
    const rig = await Rig.make(Core, { sizeHint: 4096 });
    for (let end = 1024; end <= 4096; end += 1024) {
      rig.fill(1024);
      await rig.engine.drain();
    }
    await finish(rig);
    assertEquals(rig.engine.log.filter((entry) => entry.includes("truncate")), []);
  },

  async "space that cannot be had fails nothing, and is not asked for again"(Core) {
    for (const errno of [Errno.EOPNOTSUPP, Errno.ENOSPC, Errno.EFBIG]) {
      const plan = withoutSpace(errno, () => 0);
      const rig = await Rig.make(Core, large);
      await fillTo(rig, 20 * MIB, plan);
      await finishLarge(rig, plan);
      assertEquals(allocations(rig).length, 1);
    }
  },

  async "a step that failed half-way has made the file longer, and that is cut"(Core) {
    const plan = withoutSpace(Errno.ENOSPC, (length) => length / 2);
    const rig = await Rig.make(Core, large);
    await fillTo(rig, 8.5 * MIB, plan);
    await rig.engine.drain(plan);
    assert(rig.engine.file(rig.fd).size > 8.5 * MIB);
    await finishLarge(rig, plan);

    const aborted = await Rig.make(Core, { sizeHint: 50_000 });
    aborted.fill(2048 + 10);
    await aborted.engine.drain(plan);
    assert(aborted.engine.file(aborted.fd).size > 2048);
    await aborted.leave(plan);
    assertEquals(aborted.engine.file(aborted.fd).size, 2048);
  },

  async "a step that was interrupted fails nothing, and more steps come"(Core) {
    const plan = withoutSpace(Errno.EINTR, () => 0);
    const rig = await Rig.make(Core, large);
    await fillTo(rig, 30 * MIB, plan);
    await finishLarge(rig, plan);
    assert(allocations(rig).length > 1);
  },

  async "what is there already is not reserved again"(Core) {
    const rig = await Rig.make(Core, { ...large, keep: 8 * MIB, content: new Uint8Array(8 * MIB) });
    await fillTo(rig, 4 * MIB);
    await rig.engine.drive(rig.core.finish(true));
    assertEquals(allocations(rig), []);
    assertEquals(rig.engine.file(rig.fd).size, 8 * MIB);
  },
} satisfies Checks;
