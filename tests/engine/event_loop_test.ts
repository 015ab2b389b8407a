// Streams yield to the event loop, so that long transfers do not delay the rest of the program. The tests control the
// clock.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";

const PIECE = 64 * 1024;
const PIECES = 200;
/** More bytes than are written, so that no write waits for the disk. */
const ROOMY = { bufferSize: 2 * PIECE * PIECES };
/** The clock is read once per 256 KiB, and two reads may pass before a turn. */
const MOST_BETWEEN = 8;

const content = pattern(PIECE * PIECES);
const piece = (index: number, size = PIECE) => content.subarray(index * size, (index + 1) * size);

/** The time of the clock, which never goes back. */
let time = performance.now();

/** Calls `look` in each turn of the event loop, with the clock `now`, until it is disposed. */
function watchTurns(look: () => void, now: () => number): AsyncDisposable {
  const { now: real } = performance;
  time = Math.max(time, real.call(performance));
  let going = true;
  performance.now = now;
  const turn = () => {
    look();
    if (going) setImmediate(turn);
  };
  turn();
  return {
    async [Symbol.asyncDispose]() {
      going = false;
      performance.now = real;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** A clock that only `work` advances, and the most work between two turns of the event loop. */
function watchedClock() {
  let between = 0;
  const watch = watchTurns(() => between = 0, () => time);
  const clock = {
    steps: 0,
    most: 0,
    work() {
      time += 1;
      clock.steps++;
      between++;
      // The first 20 ms are ignored, because they have no promise.
      if (clock.steps > 40) clock.most = Math.max(clock.most, between);
    },
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
  return clock;
}

async function create(path: string): Promise<DmaStreamWriter> {
  return new DmaStreamWriter(await DmaFile.create(path), { ...ROOMY, writeBehind: PIECES });
}

/** A source that always has a piece, which takes some time. */
function source(work: () => void, size = PIECE) {
  let index = 0;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      work();
      controller.enqueue(piece(index, size));
      if (++index === PIECES) controller.close();
    },
  });
}

/** Moves the content into the file `path`, or out of it, and works at each step. */
type Move = (path: string, work: () => void) => Promise<void>;

function eachPiece(
  write: (writer: DmaStreamWriter, bytes: Uint8Array<ArrayBuffer>) => Promise<void>,
  size = PIECE,
  pieces = PIECES,
): Move {
  return async (path, work) => {
    await using writer = await create(path);
    for (let index = 0; index < pieces; index++) {
      work();
      await write(writer, piece(index, size));
    }
  };
}

interface Way {
  readonly move: Move;
  /** Of the file. @default {content.length} */
  readonly length?: number;
  /** @default {PIECES} */
  readonly steps?: number;
  /** The most work between two turns. @default {MOST_BETWEEN} */
  readonly most?: number;
}

const STREAMS = 64;
const SHORT = 4096;

const ways: Record<string, Way> = {
  "A pipe from a source that is always ready": {
    move: async (path, work) => await source(work).pipeTo(await create(path)),
  },
  "write of an array": { move: eachPiece((writer, bytes) => writer.write(bytes)) },
  "write of a buffer": { move: eachPiece((writer, bytes) => writer.write(bytes.slice().buffer)) },
  "A reader into views": {
    move: async (path, work) => {
      await using reader = new DmaStreamReader(await DmaFile.open(path), ROOMY);
      const views = reader.getReader({ mode: "byob" });
      for (let view = new Uint8Array(PIECE);;) {
        const { value, done } = await views.read(view);
        if (done) break;
        work();
        view = new Uint8Array(value.buffer);
      }
    },
  },
  "write of single bytes": {
    // The clock is read once per some hundred of them.
    length: 20_000,
    steps: 20_000,
    most: 1000,
    move: eachPiece((writer, bytes) => writer.write(bytes), 1, 20_000),
  },
  "Many streams at once": {
    length: SHORT * PIECES,
    steps: STREAMS * PIECES,
    // Each stream may have a few pieces under way when one finds that it is time.
    most: 10 * STREAMS,
    move: async (path, work) => {
      const options = { bufferSize: SHORT * PIECES, writeBehind: 1 };
      await Promise.all(Array.from({ length: STREAMS }, async (_, number) => {
        const file = await DmaFile.create(number === 0 ? path : `${path}-${number}`);
        await source(work, SHORT).pipeTo(new DmaStreamWriter(file, options));
      }));
    },
  },
};

for (const [name, way] of Object.entries(ways)) {
  const { move, length = content.length, steps = PIECES, most = MOST_BETWEEN } = way;
  testDirectAndCached(`${name} lets others have a turn`, async (dir) => {
    const path = dir.file("file");
    await Deno.writeFile(path, content.subarray(0, length));
    {
      await using clock = watchedClock();
      await move(path, clock.work);
      assertEquals(clock.steps, steps);
      assert(clock.most <= most, `${clock.most} ms between two turns`);
    }
    await assertFile(path, content.subarray(0, length));
  });
}

testDirectAndCached("write accepts bytes at once, even if it is not awaited", async (dir) => {
  const writer = await create(dir.file("file"));
  {
    await using clock = watchedClock();
    const written = [];
    for (let index = 0; index < PIECES; index++) {
      clock.work();
      written.push(writer.write(piece(index)));
      assertEquals(writer.currentPos, (index + 1) * PIECE);
    }
    await Promise.all(written);
  }
  await writer.close();
  await assertFile(dir.file("file"), content);
});

for (const position of [0, 1]) {
  const how = position ? "copied" : "as it is";
  testDirectAndCached(`A pipe from file to file lets others have a turn [${how}]`, async (dir) => {
    await Deno.writeFile(dir.file("source"), content);
    const reader = new DmaStreamReader(await DmaFile.open(dir.file("source")), {
      bufferSize: PIECE,
      readAhead: PIECES,
    });
    const first = reader.getReader();
    assertEquals((await first.read()).value, piece(0));
    first.releaseLock();
    // All bytes are read ahead, so that no read waits for the disk.
    await eventually(() => engine.counters.inFlight === 0);
    const options = { position, bufferSize: PIECE, writeBehind: PIECES };
    const writer = new DmaStreamWriter(await DmaFile.create(dir.file("file")), options);
    await writer.flushAligned();
    let most = 0;
    let before = position;
    const look = () => {
      most = Math.max(most, writer.currentPos - before);
      before = writer.currentPos;
    };
    {
      // Long enough at each look.
      await using _ = watchTurns(look, () => time += 100);
      await reader.pipeTo(writer);
    }
    assert(most <= MOST_BETWEEN * PIECE * 4, `${most} bytes between two turns`);
    await assertFile(dir.file("file"), joined(new Uint8Array(position), content.subarray(PIECE)));
  });
}

testDirectAndCached("A pipe can be aborted while it lets others have a turn", async (dir) => {
  const writer = await create(dir.file("file"));
  {
    await using clock = watchedClock();
    const stop = new AbortController();
    const work = () => {
      clock.work();
      // From a turn that the pipe lets the program have: there is no other.
      if (clock.steps === PIECES / 2) setImmediate(() => stop.abort("enough"));
    };
    const { signal } = stop;
    assertEquals(await source(work).pipeTo(writer, { signal }).catch((error) => error), "enough");
    assert(clock.steps < PIECES);
  }
  assertEquals((await Deno.stat(dir.file("file"))).size, writer.currentFlushedPos);
});
