// Space that a writer reserves ahead: in few steps, early, without a wait, and given back whichever way it ends.

import { engine, hold, interpose, replaceMethod, watch } from "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { assertFile, chunksOf, MIB, pattern } from "../support/bytes.ts";
import { eventually } from "../setup/command.ts";
import { isOnDisk, type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { closeWith, create } from "./create.ts";

const where = isOnDisk;

/**
 * Writes a file of `size` zeros, whose length is exact at the end. Each allocation ends with `errno`. Returns the ends of
 * the allocations, the least space behind a write beyond 12 MiB when it begins, and the number of cuts.
 */
async function reservedFor(
  dir: TestDirectory,
  size: number,
  options: DmaStreamWriterOptions = {},
  errno = 0,
) {
  const writer = await create(dir, { bufferSize: MIB / 4, syncOnClose: false, ...options });
  const ends: number[] = [];
  let least = Infinity;
  using _allocations = interpose("allocate", ({ operation, completion, pass }) => {
    ends.push(operation.position + operation.length);
    if (errno === 0) pass();
    else queueMicrotask(() => completion.complete(-errno));
  });
  using _writes = watch("write", ({ position, length }) => {
    if (position >= 12 * MIB) least = Math.min(least, (ends.at(-1) ?? 0) - position - length);
  });
  using cuts = watch("truncate");
  const chunk = new Uint8Array(MIB / 2);
  for (let at = 0; at < size; at += chunk.length) {
    await writer.write(chunk.subarray(0, size - at));
    await writer.flushAligned();
  }
  await writer.close();
  assertEquals((await Deno.stat(writer.file.path)).size, size);
  return { ends, least, cuts: cuts.count };
}

testInEachDirectory("The end of a large file is moved ahead early, in few steps", async (dir) => {
  assertEquals((await reservedFor(dir, MIB)).ends, []);
  const { ends, least } = await reservedFor(dir, 45 * MIB);
  assert(ends.length > 1 && ends.length <= 9, `${ends}`);
  assert(least >= 2 * MIB, `${least} bytes ahead`);
}, { where });

testInEachDirectory("A hinted size is reserved in one step, and cut if it differs", async (dir) => {
  // In the last two the last block goes past it.
  for (const size of [3 * MIB, 20 * MIB, 9 * MIB + 1, 20 * MIB - 100]) {
    const { ends, cuts } = await reservedFor(dir, size, { sizeHint: size });
    assertEquals([ends, cuts], [[size], size % MIB === 0 ? 0 : 1]);
  }
}, { where });

testInEachDirectory("A failed reservation fails nothing, and is not repeated", async (dir) => {
  for (const errno of [Errno.EOPNOTSUPP, Errno.ENOSPC, Errno.EFBIG]) {
    assertEquals((await reservedFor(dir, 20 * MIB, {}, errno)).ends.length, 1);
  }
  // A step that was interrupted is no answer.
  assert((await reservedFor(dir, 20 * MIB, {}, Errno.EINTR)).ends.length > 1);
}, { where });

testInEachDirectory("No write waits for a reservation", async (dir) => {
  const writer = await create(dir, { bufferSize: MIB });
  using allocations = hold("allocate");
  for (const chunk of chunksOf(pattern(12 * MIB), MIB)) await writer.write(chunk);
  assertEquals([await writer.flushAligned(), allocations.count], [12 * MIB, 1]);
  allocations.letGo();
  await closeWith(writer, pattern(12 * MIB));
}, { where });

const reserved = 64 * MIB;
const written = MIB + 1;

testInEachDirectory("What sizeHint reserved is seen, and given back at the end", async (dir) => {
  for (const end of ["close", "seal", "abort"] as const) {
    const writer = await create(dir, { sizeHint: reserved });
    const { file } = writer;
    const taken = () => Deno.statSync(file.path).blocks! * 512;
    await writer.write(pattern(written));
    await writer.flushAligned({ tail: true });
    await eventually(() => taken() >= reserved);
    // Nothing is behind the end of the file, where no length would show it after a crash.
    assertEquals(Deno.statSync(file.path).size, reserved);
    assert(taken() < reserved + MIB);
    await writer[end]();
    await file.close();
    await assertFile(file.path, pattern(written), end);
    assert(taken() < written + MIB, `${taken()} bytes are taken`);
  }
}, { where });

testInEachDirectory("A reservation leaves the holes of an existing file", async (_dir, path) => {
  await Deno.writeFile(path, pattern(100));
  await Deno.truncate(path, reserved);
  const file = await DmaFile.open(path, { write: true });
  const writer = new DmaStreamWriter(file, { sizeHint: reserved + MIB });
  await writer.write(pattern(written));
  await writer.close();
  const { size, blocks } = await Deno.stat(path);
  assertEquals(size, reserved);
  assert(blocks! * 512 < 2 * written, `${blocks! * 512} bytes are taken`);
}, { where });

Deno.test("A size hint takes no memory of others", async () => {
  const path = await Deno.makeTempFile({ dir: "/dev/shm" });
  const taken = () => Deno.statSync(path).blocks! * 512;
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: reserved });
  await writer.write(pattern(written));
  await writer.flushAligned({ tail: true });
  await eventually(() => engine.counters.inFlight === 0);
  assert(taken() < 2 * written, `${taken()} bytes are taken`);
  await writer.close();
  await Deno.remove(path);
});

testInEachDirectory("A length that is not known at once is asked for before a cut", async (dir) => {
  const writer = await create(dir);
  for (const chunk of chunksOf(pattern(20 * MIB), MIB)) await writer.write(chunk);
  await writer.flushAligned();
  await eventually(() => engine.counters.inFlight === 0);
  // Another program has appended past the reserved space.
  const { size } = await Deno.stat(dir.file("file"));
  await Deno.writeFile(dir.file("file"), pattern(100), { append: true });
  const runNow = engine.runNow.bind(engine);
  using _ = replaceMethod("runNow", (each) => each.op === "stat" ? -Errno.ENOMEM : runNow(each));
  await writer.close();
  assertEquals((await Deno.stat(dir.file("file"))).size, size + 100);
}, { where });
