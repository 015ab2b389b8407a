// Chunks of 2 GiB and more, which optimized code counts wrongly. What goes to the disk is not what is tested here: the
// kernel is spared the bytes.

import "../support/engine.ts";
import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { interpose } from "../support/interpose.ts";

const GIB = 1 << 30;
const LENGTH = 2 * GIB + 4096;

testInOneDirectory("Chunks of 2 GiB are taken whole, one after the other", async (dir) => {
  let bytes = 0;
  using _writes = interpose("write", ({ operation, end }) => {
    bytes += operation.length;
    end(operation.length);
  });
  using _truncates = interpose("truncate", ({ end }) => end(0));
  using _allocations = interpose("allocate", ({ end }) => end(0));
  const chunk = new Uint8Array(LENGTH);
  const file = await DmaFile.create(dir.file("file"));
  const writer = new DmaStreamWriter(file, { syncOnClose: false, closeFile: false });
  for (let round = 1; round <= 2; round++) {
    await writer.write(chunk);
    assertEquals(writer.currentPos, round * LENGTH);
  }
  const lock = writer.getWriter();
  await lock.write(chunk);
  await lock.write(new DataView(chunk.buffer, 4096));
  lock.releaseLock();
  await ReadableStream.from([chunk]).pipeTo(writer);
  assertEquals([writer.currentPos, writer.currentFlushedPos], Array(2).fill(5 * LENGTH - 4096));
  bytes = 0;
  for (let round = 0; round < 2; round++) assertEquals(await file.writeAt(chunk, 0), LENGTH);
  assertEquals(bytes, 2 * LENGTH);
  await file.close();
}, { bothEngines: false, ignore: Deno.systemMemoryInfo().available < 5 * GIB });
