// Streams yield to the event loop, so that long transfers do not delay the rest of the program.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { eventually, turnsSoon } from "../setup/command.ts";
import { assertFile, joined, openPattern, pattern } from "../support/bytes.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";

const PIECE = 64 * 1024;
const PIECES = 200;
/** More bytes than are written, so that no write waits for the disk. */
const ROOMY = { bufferSize: 2 * PIECE * PIECES, writeBehind: PIECES };
/** The clock is read once per 256 KiB, and some reads may pass before a turn. */
const MOST_BETWEEN = 32 * PIECE;

const content = pattern(PIECE * PIECES);

/** A clock that never goes back. */
let time = performance.now();

/** Throws if `position` grows by more than `allowed` between two turns, if each look at the clock finds that time is up. */
async function assertYields(
  position: () => number,
  move: () => Promise<unknown>,
  allowed = MOST_BETWEEN,
): Promise<void> {
  const { now } = performance;
  let [most, before, going] = [0, position(), true];
  time = Math.max(time, now.call(performance));
  performance.now = () => time += 100;
  const turn = () => {
    most = Math.max(most, position() - before);
    before = position();
    if (going) setImmediate(turn);
  };
  turn();
  try {
    await move();
  } finally {
    performance.now = now;
    going = false;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert(most > 0 && most <= allowed, `${most} bytes between two turns`);
}

/** A source that always has a piece. */
function source(size = PIECE): ReadableStream<Uint8Array<ArrayBuffer>> {
  let index = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(content.subarray(index * size, (index + 1) * size));
      if (++index === PIECES) controller.close();
    },
  });
}

/** Ways to write the content or its beginning, and the most bytes between two turns. */
const ways: [name: string, most: number, write: (writer: DmaStreamWriter) => Promise<unknown>][] = [
  ["A pipe from a source that is always ready", MOST_BETWEEN, (writer) => source().pipeTo(writer)],
  ["write of an array", MOST_BETWEEN, async (writer) => {
    for await (const piece of source()) await writer.write(piece);
  }],
  // The clock is read once per some hundred of them.
  ["write of single bytes whenever a lock is ready", 1000, async (writer) => {
    const lock = writer.getWriter();
    for (let at = 0; at < 20_000; at++) {
      await lock.ready;
      lock.write(content.subarray(at, at + 1));
    }
    lock.releaseLock();
  }],
];

for (const [name, most, write] of ways) {
  testDirectAndCached(`${name} lets others have a turn`, async (dir) => {
    const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), ROOMY);
    await assertYields(() => writer.currentPos, () => write(writer), most);
    await writer[Symbol.asyncDispose]();
    await assertFile(dir.file("file"), content.subarray(0, writer.currentPos));
  });
}

testDirectAndCached("Many streams at once let others have a turn", async (dir) => {
  const SHORT = 4096;
  const options = { bufferSize: SHORT * PIECES, writeBehind: 1 };
  const writers = await Promise.all(Array.from({ length: 64 }, async (_, number) => {
    return new DmaStreamWriter(await DmaFile.create(dir.file(`${number}`)), options);
  }));
  const position = () => writers.reduce((sum, { currentPos }) => sum + currentPos, 0);
  const pipe = () => Promise.all(writers.map((writer) => source(SHORT).pipeTo(writer)));
  // Each stream may have a few pieces under way when one finds that it is time.
  await assertYields(position, pipe, 10 * SHORT * writers.length);
  await assertFile(dir.file("63"), content.subarray(0, SHORT * PIECES));
});

testDirectAndCached("A reader into views lets others have a turn", async (dir) => {
  const file = await openPattern(dir.file("file"), content.length);
  await using reader = new DmaStreamReader(file, { bufferSize: ROOMY.bufferSize });
  const views = reader.getReader({ mode: "byob" });
  await assertYields(() => reader.currentPos, async () => {
    for (let view = new Uint8Array(PIECE);;) {
      const { value, done } = await views.read(view);
      if (done) break;
      view = new Uint8Array(value.buffer);
    }
  });
});

testDirectAndCached("Many small ranges let others have a turn", async (dir) => {
  await using file = await openPattern(dir.file("file"), PIECE);
  const ranges = Array.from({ length: 20_000 }, (_, position) => ({ position, length: 1 }));
  let found = 0;
  await assertYields(() => found, async () => {
    for await (const { bytes } of file.readMany(ranges)) found += bytes.length;
  }, 1000);
});

testInOneDirectory("Opens of files in the kernel's memory let others have a turn", async (dir) => {
  await using file = await openPattern(dir.file("file"), 1);
  let opened = 0;
  await assertYields(() => opened, async () => {
    for (; opened < 500; opened++) await (await DmaFile.open(file.path)).close();
  }, 20);
});

testDirectAndCached("A large read lets others have a turn", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  await file.truncate(128 << 20);
  const read = () => file.readInto(file.allocBuffer(128 << 20), 0);
  let isSoon = false;
  // On a busy machine the turn may be late by chance.
  for (let attempt = 0; attempt < 8 && !isSoon; attempt++) isSoon = await turnsSoon(read);
  assert(isSoon, "No turn before the read is almost over");
});

for (const position of [0, 1]) {
  const how = position ? "copied" : "as it is";
  testDirectAndCached(`A pipe from file to file lets others have a turn [${how}]`, async (dir) => {
    // The reader has read everything ahead, so that no read waits for the disk.
    const file = await openPattern(dir.file("source"), content.length);
    const reader = new DmaStreamReader(file, { bufferSize: PIECE, readAhead: PIECES });
    const first = reader.getReader();
    assertEquals((await first.read()).value, content.subarray(0, PIECE));
    first.releaseLock();
    await eventually(() => engine.counters.inFlight === 0);
    const options = { position, bufferSize: PIECE, writeBehind: PIECES };
    const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), options);
    await writer.flushAligned();
    await assertYields(() => writer.currentPos, () => reader.pipeTo(writer));
    await assertFile(dir.file("file"), joined(new Uint8Array(position), content.subarray(PIECE)));
  });
}

testInOneDirectory("No call on a thread ends between two microtasks", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  let early = 0;
  for (let attempt = 0; attempt < 2000; attempt++) {
    let hasEnded = false;
    // The kernel needs less time for it than Deno to start a call on a thread.
    const locking = file.tryLock().then(() => hasEnded = true);
    for (let microtasks = 0; microtasks < 20; microtasks++) await undefined;
    if (hasEnded) early++;
    await locking;
  }
  assertEquals(early, 0);
});
