// How a writer moves the end of file ahead of its writes: in few steps, early, and no further than is worth it.

import { assert, assertEquals } from "@std/assert";
import { Errno } from "../../src/engine/linux.ts";
import { type Plan, turn } from "../support/scripted_engine.ts";
import { Rig, type RigOptions, watch } from "./rig.ts";

const MIB = 1 << 20;
const large = { bufferSize: MIB / 4, writeBehind: 4 };

/** Fills up to `end` as room comes, and completes as the plan says. */
async function fillTo(rig: Rig, end: number, plan?: Plan): Promise<void> {
  while (rig.writer.position < end) {
    const length = Math.min(MIB / 2, end - rig.writer.position);
    if (rig.write(length) === 0) await rig.engine.drive(rig.writer.room(), plan);
  }
}

function logged(rig: Rig, kind: string): string[] {
  return rig.engine.log.filter((entry) => entry.startsWith(kind));
}

/** Writes a file of `size` bytes, whose length is exact at the end. Returns the allocations. */
async function allocationsFor(size: number, options: RigOptions, plan?: Plan): Promise<string[]> {
  const rig = await Rig.make({ ...large, ...options });
  await fillTo(rig, size, plan);
  await rig.finish(plan);
  assertEquals(rig.size, Math.max(size, options.content?.length ?? 0));
  return logged(rig, "allocate");
}

/** Allocations end with this error, before all else. */
function withoutSpace(errno: number): Plan {
  return (pending) => {
    const allocate = pending.find(({ kind }) => kind === "allocate");
    return allocate ? [allocate, -errno] : [pending[0]!];
  };
}

Deno.test("Writer: what is small, or there already, is not reserved", async () => {
  assertEquals(await allocationsFor(MIB, {}), []);
  assertEquals(await allocationsFor(4 * MIB, { content: new Uint8Array(8 * MIB) }), []);
});

Deno.test("Writer: a size that was hinted is reserved in one step", async () => {
  // In the second and fourth the last block goes past it.
  for (const size of [3 * MIB, 9 * MIB + 1, 10_000_000, 20 * MIB - 100]) {
    assertEquals(await allocationsFor(size, { sizeHint: size }), [`allocate 0+${size}`]);
  }
});

Deno.test("Writer: a failed reservation fails nothing, and is not repeated", async () => {
  for (const errno of [Errno.EOPNOTSUPP, Errno.ENOSPC, Errno.EFBIG]) {
    assertEquals((await allocationsFor(20 * MIB, {}, withoutSpace(errno))).length, 1);
  }
  // A step that was interrupted is no answer.
  assert((await allocationsFor(30 * MIB, {}, withoutSpace(Errno.EINTR))).length > 1);
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
    if (rig.size === position + length) behind++;
  };
  await fillTo(rig, 45 * MIB);
  assert(writes > 100);
  assertEquals(behind, 0, "writes that moved the end of file");
  assert(logged(rig, "allocate").length <= 8, `${logged(rig, "allocate")}`);
  await rig.finish();
  assertEquals(rig.size, 45 * MIB);
});

Deno.test("Writer: a step is with the kernel without anyone waiting for it", async () => {
  const rig = await Rig.make(large);
  // Allocations hang.
  await fillTo(rig, 9 * MIB, (pending) => [pending.find(({ kind }) => kind !== "allocate")!]);
  const flushed = watch(rig.flush(false));
  while (rig.writing.length > 0) rig.engine.complete(rig.engine.pendingOf("write")[0]!);
  await turn();
  assertEquals([flushed.state, rig.inFlight], ["resolved", ["allocate"]]);
  // The end waits for it: what came after the cut would make the file longer again.
  const closed = watch(rig.writer.close());
  await turn();
  assertEquals(rig.inFlight, ["allocate"]);
  await rig.engine.drive(closed.promise);
  await rig.finish();
  assertEquals(rig.size, 9 * MIB);
});

Deno.test("Writer: a size that was hinted exactly needs no cut", async () => {
  const rig = await Rig.make({ sizeHint: 4096 });
  for (let end = 1024; end <= 4096; end += 1024) {
    rig.fill(1024);
    await rig.engine.drain();
  }
  await rig.finish();
  assertEquals([rig.size, logged(rig, "truncate")], [4096, []]);
});
