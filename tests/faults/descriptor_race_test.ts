// Calls that meet a close on its way: what uses a descriptor may never use its number after the kernel has given it
// to another file. Such a call would cut, sync or write that one.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { content, firstWrongInFile } from "./content.ts";
import { assertIdle } from "./failed_writer.ts";
import { inWorkDirectory } from "./machine.ts";

const ACTORS = 16;
const ROUNDS = 60;
const LENGTH = 10_007;

/** Runs many at once, so that a number that was given back is somebody else's soon. */
async function many(fn: (path: string, round: number) => Promise<void>): Promise<void> {
  await inWorkDirectory(async (directory) => {
    const { failed } = ioStats();
    await Promise.all(Array.from({ length: ACTORS }, async (_, actor) => {
      for (let round = 0; round < ROUNDS; round++) await fn(`${directory}/${actor}`, round);
    }));
    await assertIdle();
    // Creating a file over one that is there looks first: that is all that may fail.
    const files = ACTORS * (ROUNDS - 1);
    assert(ioStats().failed - failed <= files, "Something was asked of a descriptor that was gone");
  });
}

async function writer(path: string, round: number): Promise<DmaStreamWriter> {
  const writer = new DmaStreamWriter(await DmaFile.create(path), {
    bufferSize: 4096,
    syncOnClose: round % 5 === 0,
    preallocate: round % 2 === 0,
  });
  await writer.write(content(0, LENGTH, round));
  return writer;
}

async function assertWritten(path: string, round: number): Promise<void> {
  assertEquals((await Deno.stat(path)).size, LENGTH);
  assertEquals(await firstWrongInFile(path, LENGTH, round), -1);
}

Deno.test("sync() before close() resolves, also where nobody waited for it", () =>
  many(async (path, round) => {
    const stream = await writer(path, round);
    const synced = [stream.sync(), stream.sync({ tail: round % 3 === 0 })];
    await stream.close();
    for (const position of await Promise.all(synced)) assert(position >= 8192);
    await assertWritten(path, round);
  }));

Deno.test("sync() after close() resolves or says that the stream is closed, and touches nothing", () =>
  many(async (path, round) => {
    const stream = await writer(path, round);
    const closed = stream.close();
    for (let turn = 0; turn < round % 12; turn++) await undefined;
    const calls = [stream.sync(), stream.sync({ tail: true }), stream.flushAligned()];
    const [late] = await Promise.all([Promise.allSettled(calls), closed]);
    for (const result of late) {
      if (result.status === "rejected") {
        assert(result.reason instanceof TypeError, String(result.reason));
      }
    }
    await assertWritten(path, round);
  }));

Deno.test("reads and writes that were begun before close() of a file are done before it", () =>
  many(async (path, round) => {
    const file = await DmaFile.create(path);
    const writes = [0, 4096, 8192].map((at) => file.writeAt(content(at, 4096, round), at));
    const size = file.size();
    const synced = file.sync();
    await file.close();
    await Promise.all([...writes, size, synced]);
    assertEquals(await firstWrongInFile(path, 12_288, round), -1);
  }));

Deno.test("reads in flight are waited for when their stream is cancelled", () =>
  many(async (path, round) => {
    await Deno.writeFile(path, content(0, 100_000));
    const stream = new DmaStreamReader(await DmaFile.open(path), {
      bufferSize: 4096,
      readAhead: 8,
    });
    const reader = stream.getReader();
    if (round % 2 === 0) await reader.read();
    else reader.read().catch(() => {});
    await reader.cancel();
  }));
