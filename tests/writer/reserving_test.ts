// How a writer moves the end of file ahead of its writes: in few steps, early, and no further than is worth it.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { type Plan, turn } from "../support/scripted_engine.ts";
import { Rig, watch } from "./rig.ts";

const MIB = 1024 * 1024;

/** Fills up to `end` as room comes, and completes as the plan says. */
async function fillTo(rig: Rig, end: number, plan?: Plan): Promise<void> {
  while (rig.writer.position < end) {
    const length = Math.min(MIB / 2, end - rig.writer.position);
    if (rig.write(length) === 0) await rig.engine.drive(rig.writer.room(), plan);
  }
}

function allocations(rig: Rig): string[] {
  return rig.engine.log.filter((entry) => entry.startsWith("allocate"));
}

/** Closes, and the file is as long as it should be. */
async function finish(rig: Rig, plan?: Plan): Promise<void> {
  await rig.finish(plan);
  assertEquals(rig.engine.file(rig.file.fd).size, rig.writer.position);
}

/** Allocations end with this error, before all else. */
function withoutSpace(errno: number): Plan {
  return (pending) => {
    const allocate = pending.find(({ kind }) => kind === "allocate");
    return allocate ? [allocate, -errno] : [pending[0]!];
  };
}

const large = { bufferSize: MIB / 4, writeBehind: 4 };

Deno.test("Writer: a small file is not moved ahead", async () => {
  const rig = await Rig.make(large);
  await fillTo(rig, MIB);
  await finish(rig);
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
    if (rig.engine.file(rig.file.fd).size === position + length) behind++;
  };
  await fillTo(rig, 45 * MIB);
  assert(writes > 100);
  assertEquals(behind, 0, "writes that moved the end of file");
  assert(allocations(rig).length <= 8, `${allocations(rig)}`);
  await finish(rig);
});

Deno.test("Writer: a step is with the kernel without anyone waiting for it", async () => {
  const rig = await Rig.make(large);
  // Allocations hang.
  await fillTo(rig, 9 * MIB, (pending) => [pending.find(({ kind }) => kind !== "allocate")!]);
  const flushed = watch(rig.writer.flush(false));
  while (rig.writing.length > 0) rig.engine.complete(rig.engine.pendingOf("write")[0]!);
  await turn();
  assertEquals(flushed.state, "resolved");
  assertEquals(rig.engine.pending.map(({ kind }) => kind), ["allocate"]);
  // The end waits for it: what came after the cut would make the file longer again.
  const closed = watch(rig.writer.close());
  await turn();
  assertEquals(rig.engine.pending.map(({ kind }) => kind), ["allocate"]);
  await rig.engine.drive(closed.promise);
  await finish(rig);
});

Deno.test("Writer: a size that was hinted is reserved in one step, also where the last block goes past it", async () => {
  for (const size of [3 * MIB, 9 * MIB + 1, 10_000_000, 20 * MIB - 100]) {
    const rig = await Rig.make({ ...large, sizeHint: size });
    await fillTo(rig, size);
    await finish(rig);
    assertEquals(allocations(rig), [`allocate 0+${size}`]);
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
    const plan = withoutSpace(errno);
    const rig = await Rig.make(large);
    await fillTo(rig, 20 * MIB, plan);
    await finish(rig, plan);
    assertEquals(allocations(rig).length, 1);
  }
});

Deno.test("Writer: a step that was interrupted fails nothing, and more steps come", async () => {
  const plan = withoutSpace(Errno.EINTR);
  const rig = await Rig.make(large);
  await fillTo(rig, 30 * MIB, plan);
  await finish(rig, plan);
  assert(allocations(rig).length > 1);
});

Deno.test("Writer: what is there already is not reserved again", async () => {
  const rig = await Rig.make({ ...large, content: new Uint8Array(8 * MIB) });
  await fillTo(rig, 4 * MIB);
  await rig.finish();
  assertEquals(allocations(rig), []);
  assertEquals(rig.engine.file(rig.file.fd).size, 8 * MIB);
});
