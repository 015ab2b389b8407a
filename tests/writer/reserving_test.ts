// How a writer moves the end of file ahead of its writes: in few steps, early, and no further than is worth it.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { turn } from "../support/scripted_engine.ts";
import { inOrder, type Plan } from "../support/scripted_operation.ts";
import { finish, Rig } from "./rig.ts";

const MIB = 1024 * 1024;

/** Fills up to `end` as room comes, and completes as the plan says. */
async function fillTo(rig: Rig, end: number, plan: Plan = inOrder): Promise<void> {
  const chunk = new Uint8Array(MIB / 2);
  // What is in it is not what these are about, and comparing megabytes takes its time.
  rig.engine.afterEach = () => {};
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

Deno.test("Writer: a small file is not moved ahead", async () => {
  const rig = await Rig.make(large);
  await fillTo(rig, MIB);
  await finishLarge(rig);
  assertEquals(allocations(rig), []);
});

Deno.test("Writer: the end of a large file is moved ahead of the writes, in few steps", async () => {
  const rig = await Rig.make(large);
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
});

Deno.test("Writer: a step is with the kernel without anyone waiting for it", async () => {
  const rig = await Rig.make(large);
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
});

Deno.test("Writer: a size that was hinted is reserved in one step, also where the last block goes past it", async () => {
  for (const size of [3 * MIB, 9 * MIB + 1, 10_000_000, 20 * MIB - 100]) {
    const rig = await Rig.make({ ...large, sizeHint: size });
    await fillTo(rig, size);
    await finishLarge(rig);
    assertEquals(allocations(rig), [`+ allocate 0+${size}`]);
  }
});

Deno.test("Writer: a size that was hinted exactly needs no cut", async () => {
  const rig = await Rig.make({ sizeHint: 4096 });
  for (let end = 1024; end <= 4096; end += 1024) {
    rig.fill(1024);
    await rig.engine.drain();
  }
  await finish(rig);
  assertEquals(rig.engine.log.filter((entry) => entry.includes("truncate")), []);
});

Deno.test("Writer: space that cannot be had fails nothing, and is not asked for again", async () => {
  for (const errno of [Errno.EOPNOTSUPP, Errno.ENOSPC, Errno.EFBIG]) {
    const plan = withoutSpace(errno, () => 0);
    const rig = await Rig.make(large);
    await fillTo(rig, 20 * MIB, plan);
    await finishLarge(rig, plan);
    assertEquals(allocations(rig).length, 1);
  }
});

Deno.test("Writer: a step that was interrupted fails nothing, and more steps come", async () => {
  const plan = withoutSpace(Errno.EINTR, () => 0);
  const rig = await Rig.make(large);
  await fillTo(rig, 30 * MIB, plan);
  await finishLarge(rig, plan);
  assert(allocations(rig).length > 1);
});

Deno.test("Writer: what is there already is not reserved again", async () => {
  const rig = await Rig.make({ ...large, content: new Uint8Array(8 * MIB) });
  await fillTo(rig, 4 * MIB);
  await rig.engine.drive(rig.core.finish(true));
  assertEquals(allocations(rig), []);
  assertEquals(rig.engine.file(rig.fd).size, 8 * MIB);
});
