// Streams let the event loop come round: what moves bytes for long must not keep the rest of the program waiting.
// A clock that the tests move says what is long.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";

const KIB = 1024;
const PIECE = 64 * KIB;
const PIECES = 200;
/** More than is written, so that nobody waits for the disk. */
const ROOMY = { bufferSize: 2 * PIECE * PIECES };
/** The clock is looked at each 256 KiB; two looks may pass before a turn. */
const MOST_BETWEEN = 8;

/** What the clock shows; it never goes back, in no test. */
let time = performance.now();

/** A clock that goes on only by `work`, and how much of that was done between two turns of the event loop at most. */
function watchedClock() {
  const { now } = performance;
  time = Math.max(time, now.call(performance));
  let steps = 0;
  let between = 0;
  let most = 0;
  let going = true;
  performance.now = () => time;
  const turn = () => {
    between = 0;
    if (going) setImmediate(turn);
  };
  turn();
  return {
    work() {
      time += 1;
      steps++;
      between++;
      // The first 20 ms are left out: nothing is promised for them.
      if (steps > 40) most = Math.max(most, between);
    },
    get steps() {
      return steps;
    },
    get most() {
      return most;
    },
    async [Symbol.asyncDispose]() {
      going = false;
      performance.now = now;
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

const content = pattern(PIECE * PIECES);
const piece = (index: number) => content.subarray(index * PIECE, (index + 1) * PIECE);

async function create(dir: TestDirectory): Promise<DmaStreamWriter> {
  const options = { ...ROOMY, writeBehind: PIECES };
  return new DmaStreamWriter(await DmaFile.create(dir.file("file")), options);
}

/** Always has a piece ready, and takes a while to make it. */
function source(work: () => void): ReadableStream<Uint8Array<ArrayBuffer>> {
  let index = 0;
  return new ReadableStream({
    pull(controller) {
      work();
      controller.enqueue(piece(index));
      if (++index === PIECES) controller.close();
    },
  });
}

/** Chunks of every kind with the same bytes. */
const chunkKinds: Record<string, (bytes: Uint8Array<ArrayBuffer>) => BufferSource> = {
  "write of an array": (bytes) => bytes,
  "write of a buffer": (bytes) => bytes.slice().buffer,
  "write of a DataView": (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
};

/** Writes all pieces, and works before each. */
type Write = (writer: DmaStreamWriter, work: () => void) => Promise<void>;

function eachPiece(write: (writer: DmaStreamWriter, index: number) => Promise<void>): Write {
  return async (writer, work) => {
    for (let index = 0; index < PIECES; index++) {
      work();
      await write(writer, index);
    }
    await writer.close();
  };
}

const ways: Record<string, Write> = {
  "A pipe from a source that is always ready": (writer, work) => source(work).pipeTo(writer),
  "writeBuffer": eachPiece(async (writer, index) => {
    const buffer = writer.file.allocBuffer(PIECE);
    buffer.bytes.set(piece(index));
    await writer.writeBuffer(buffer);
  }),
};
for (const [name, chunk] of Object.entries(chunkKinds)) {
  ways[name] = eachPiece((writer, index) => writer.write(chunk(piece(index))));
}

for (const [name, write] of Object.entries(ways)) {
  testDirectAndCached(`${name} lets others have a turn`, async (dir) => {
    const writer = await create(dir);
    {
      await using clock = watchedClock();
      await write(writer, clock.work);
      assertEquals(clock.steps, PIECES);
      assert(clock.most <= MOST_BETWEEN, `${clock.most} ms between two turns`);
    }
    await assertFile(dir.file("file"), content);
  });
}

testDirectAndCached("write takes bytes at once where nobody waits for it", async (dir) => {
  const writer = await create(dir);
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

for (const byob of [false, true]) {
  testDirectAndCached(
    `A reader lets others have a turn where all is read ahead [${byob ? "BYOB" : "default"}]`,
    async (dir) => {
      await Deno.writeFile(dir.file("file"), content);
      const file = await DmaFile.open(dir.file("file"));
      await using reader = new DmaStreamReader(file, ROOMY);
      let got = 0;
      {
        await using clock = watchedClock();
        if (byob) {
          const views = reader.getReader({ mode: "byob" });
          for (let view = new Uint8Array(PIECE);;) {
            const { value, done } = await views.read(view);
            if (done) break;
            clock.work();
            got += value.length;
            view = new Uint8Array(value.buffer);
          }
        } else {
          for await (const chunk of reader) {
            clock.work();
            got += chunk.length;
          }
        }
        assertEquals(clock.steps, PIECES);
        assert(clock.most <= MOST_BETWEEN, `${clock.most} ms between two turns`);
      }
      assertEquals(got, content.length);
    },
  );
}

/** One-byte chunks; the clock is looked at after some hundred of them. */
const SMALL_PIECES = 20_000;
const MOST_SMALL_BETWEEN = 1000;

const smallWays: Record<string, (path: string, work: () => void) => Promise<void>> = {
  "piped": async (path, work) => {
    let index = 0;
    const source = new ReadableStream({
      pull(controller) {
        work();
        controller.enqueue(content.subarray(index, ++index));
        if (index === SMALL_PIECES) controller.close();
      },
    });
    await source.pipeTo(new DmaStreamWriter(await DmaFile.create(path), ROOMY));
  },
  "written": async (path, work) => {
    await using writer = new DmaStreamWriter(await DmaFile.create(path), ROOMY);
    for (let index = 0; index < SMALL_PIECES; index++) {
      work();
      await writer.write(content.subarray(index, index + 1));
    }
  },
  "read": async (path, work) => {
    await Deno.writeFile(path, content.subarray(0, SMALL_PIECES));
    await using reader = new DmaStreamReader(await DmaFile.open(path));
    const views = reader.getReader({ mode: "byob" });
    for (let view = new Uint8Array(1);;) {
      const { value, done } = await views.read(view);
      if (done) break;
      work();
      view = new Uint8Array(value.buffer);
    }
  },
};

for (const [name, way] of Object.entries(smallWays)) {
  testDirectAndCached(`Small chunks let others have a turn [${name}]`, async (dir) => {
    {
      await using clock = watchedClock();
      await way(dir.file("file"), clock.work);
      assertEquals(clock.steps, SMALL_PIECES);
      assert(clock.most <= MOST_SMALL_BETWEEN, `${clock.most} ms between two turns`);
    }
    await assertFile(dir.file("file"), content.subarray(0, SMALL_PIECES));
  });
}

testDirectAndCached("Many streams at once let others have a turn", async (dir) => {
  const STREAMS = 64;
  const SHORT = 4 * KIB;
  const options = { bufferSize: SHORT * PIECES, writeBehind: 1 };
  await using clock = watchedClock();
  await Promise.all(Array.from({ length: STREAMS }, async (_, number) => {
    const file = await DmaFile.create(dir.file(`${number}`));
    let pieces = 0;
    const source = new ReadableStream({
      pull(controller) {
        clock.work();
        controller.enqueue(content.subarray(0, SHORT));
        if (++pieces === PIECES) controller.close();
      },
    });
    await source.pipeTo(new DmaStreamWriter(file, options));
  }));
  assertEquals(clock.steps, STREAMS * PIECES);
  // Each stream may have a few pieces under way when one finds that it is time.
  assert(clock.most <= 10 * STREAMS, `${clock.most} ms between two turns`);
});

for (const position of [0, 1]) {
  testDirectAndCached(
    `A pipe from file to file lets others have a turn [${position ? "copied" : "as it is"}]`,
    async (dir) => {
      await Deno.writeFile(dir.file("source"), content);
      const reader = new DmaStreamReader(await DmaFile.open(dir.file("source")), {
        bufferSize: PIECE,
        readAhead: PIECES,
      });
      const first = reader.getReader();
      assertEquals((await first.read()).value, piece(0));
      first.releaseLock();
      // All is read ahead, so that nobody waits for the disk.
      await eventually(() => engine.counters.inFlight === 0);
      const file = await DmaFile.create(dir.file("file"));
      const options = { position, bufferSize: PIECE, writeBehind: PIECES };
      const writer = new DmaStreamWriter(file, options);
      await writer.flushAligned();
      const { now } = performance;
      let most = 0;
      let before = position;
      let going = true;
      const turn = () => {
        most = Math.max(most, writer.currentPos - before);
        before = writer.currentPos;
        if (going) setImmediate(turn);
      };
      try {
        // Long enough at each look.
        performance.now = () => time += 100;
        turn();
        await reader.pipeTo(writer);
      } finally {
        performance.now = now;
        going = false;
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert(most <= MOST_BETWEEN * PIECE * 4, `${most} bytes between two turns`);
      await assertFile(dir.file("file"), joined(new Uint8Array(position), content.subarray(PIECE)));
    },
  );
}

testDirectAndCached("Streams go on where setImmediate is a test's", async (dir) => {
  const writer = await create(dir);
  {
    await using clock = watchedClock();
    const real = globalThis.setImmediate;
    // As that of frameworks for tests: it waits to be told.
    globalThis.setImmediate = (() => 0) as unknown as typeof setImmediate;
    try {
      await source(clock.work).pipeTo(writer);
    } finally {
      globalThis.setImmediate = real;
    }
  }
  await assertFile(dir.file("file"), content);
});

testDirectAndCached("A pipe can be aborted while it lets others have a turn", async (dir) => {
  const writer = await create(dir);
  {
    await using clock = watchedClock();
    const stop = new AbortController();
    let pieces = 0;
    const work = () => {
      clock.work();
      // From a turn that the pipe lets the program have: there is no other.
      if (++pieces === PIECES / 2) setImmediate(() => stop.abort("enough"));
    };
    const error = await source(work).pipeTo(writer, { signal: stop.signal }).catch((error) =>
      error
    );
    assertEquals(error, "enough");
    assert(clock.steps < PIECES);
  }
  assertEquals((await Deno.stat(dir.file("file"))).size, writer.currentFlushedPos);
});
