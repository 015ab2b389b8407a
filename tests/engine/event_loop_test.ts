// Streams yield to the event loop, so that long transfers do not delay the rest of the program.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { openPattern } from "../support/patterned.ts";

const PIECE = 64 * 1024;
const PIECES = 200;
/** More bytes than are written, so that no write waits for the disk. */
const ROOMY = { bufferSize: 2 * PIECE * PIECES, writeBehind: PIECES };
/** The clock is read once per 256 KiB, and some reads may pass before a turn. */
const MOST_BETWEEN = 32 * PIECE;

const content = pattern(PIECE * PIECES);

/** A clock that never goes back. */
let time = performance.now();

/** The most that `position` grows between two turns of the event loop, if each look at the clock finds that time is up. */
async function mostBetweenTurns(
  position: () => number,
  move: () => Promise<unknown>,
): Promise<number> {
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
  return most;
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

/** Ways to write the content, or so many bytes of it, and the most bytes between two turns. */
const ways: [
  name: string,
  write: (writer: DmaStreamWriter) => Promise<unknown>,
  length?: number,
  most?: number,
][] = [
  ["A pipe from a source that is always ready", (writer) => source().pipeTo(writer)],
  ["write of an array", async (writer) => {
    for await (const piece of source()) await writer.write(piece);
  }],
  ["write of a buffer", async (writer) => {
    for await (const piece of source()) await writer.write(piece.slice().buffer);
  }],
  // The clock is read once per some hundred of them.
  [
    "write of single bytes",
    async (writer) => {
      for (let at = 0; at < 20_000; at++) await writer.write(content.subarray(at, at + 1));
    },
    20_000,
    1000,
  ],
];

for (const [name, write, length = content.length, most = MOST_BETWEEN] of ways) {
  testDirectAndCached(`${name} lets others have a turn`, async (dir) => {
    const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), ROOMY);
    const moved = await mostBetweenTurns(() => writer.currentPos, () => write(writer));
    assert(moved <= most, `${moved} bytes between two turns`);
    await writer[Symbol.asyncDispose]();
    await assertFile(dir.file("file"), content.subarray(0, length));
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
  const moved = await mostBetweenTurns(position, pipe);
  assert(moved <= 10 * SHORT * writers.length, `${moved} bytes between two turns`);
  await assertFile(dir.file("63"), content.subarray(0, SHORT * PIECES));
});

testDirectAndCached("A reader into views lets others have a turn", async (dir) => {
  const file = await openPattern(dir.file("file"), content.length);
  await using reader = new DmaStreamReader(file, { bufferSize: ROOMY.bufferSize });
  const views = reader.getReader({ mode: "byob" });
  const moved = await mostBetweenTurns(() => reader.currentPos, async () => {
    for (let view = new Uint8Array(PIECE);;) {
      const { value, done } = await views.read(view);
      if (done) break;
      view = new Uint8Array(value.buffer);
    }
  });
  assert(moved <= MOST_BETWEEN, `${moved} bytes between two turns`);
});

/** A writer behind `position`, and a reader that has read everything ahead, so that no read waits for the disk. */
async function makePipe(dir: TestDirectory, position: number) {
  const file = await openPattern(dir.file("source"), content.length);
  const reader = new DmaStreamReader(file, { bufferSize: PIECE, readAhead: PIECES });
  const first = reader.getReader();
  assertEquals((await first.read()).value, content.subarray(0, PIECE));
  first.releaseLock();
  await eventually(() => engine.counters.inFlight === 0);
  const options = { position, bufferSize: PIECE, writeBehind: PIECES };
  const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), options);
  await writer.flushAligned();
  return { reader, writer };
}

for (const position of [0, 1]) {
  const how = position ? "copied" : "as it is";
  testDirectAndCached(`A pipe from file to file lets others have a turn [${how}]`, async (dir) => {
    const { reader, writer } = await makePipe(dir, position);
    const moved = await mostBetweenTurns(() => writer.currentPos, () => reader.pipeTo(writer));
    assert(moved <= MOST_BETWEEN, `${moved} bytes between two turns`);
    await assertFile(dir.file("file"), joined(new Uint8Array(position), content.subarray(PIECE)));
  });
}
