// reader.pipeTo(writer) behaves like the pipe of any stream: the same bytes, errors, locks and states.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pause } from "../setup/command.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import {
  testBetweenDirectories,
  testDirectAndCached,
  type TestDirectory,
} from "../support/dirs.ts";
import { fail, type Held, hold, interpose, type Interposed } from "../support/interpose.ts";
import { allOf, openPattern } from "../support/patterned.ts";
import { assertSame, type Ending, inWords, type Piping, testWays, ways } from "./pipe_ways.ts";

testDirectAndCached("A file of any length is piped whole", async (dir) => {
  for (const size of [0, 1, 511, 512, 4095, 4096, 4097, 65_536, 131_073, 3_000_001]) {
    for (const preventClose of [false, true]) {
      for (const closeFile of [false, true]) {
        const ending = await assertSame(dir, { size, closeFile, options: { preventClose } });
        assertEquals(ending, {
          result: "resolved",
          reader: "ended",
          writer: preventClose ? "open" : "closed",
          bytes: size,
          open: [closeFile ? 0 : 1, closeFile && !preventClose ? 0 : 1],
        });
      }
    }
  }
});

testDirectAndCached("Bytes read before the pipe are not piped, and the rest is", async (dir) => {
  for (const mode of [undefined, "byob"] as const) {
    for (const skipped of [0, 10_000]) {
      const source = await openPattern(dir.file("source"), 300_001);
      const from = new DmaStreamReader(source, { bufferSize: 16_384, end: 250_001 });
      const reader = mode ? from.getReader({ mode }) : from.getReader();
      await (reader as ReadableStreamBYOBReader).read(new Uint8Array(1000));
      reader.releaseLock();
      // Directly after a read the pipe is a plain one.
      await pause(1);
      const start = from.currentPos + skipped;
      from.skip(skipped);
      const { writable } = await DmaFile.create(dir.file("target"));
      await from.pipeTo(writable);
      await assertFile(dir.file("target"), pattern(250_001 - start, start));
    }
  }
});

testDirectAndCached("Whole buffers go from reads to writes without a copy", async (dir) => {
  const size = 4 << 20;
  const source = await openPattern(dir.file("source"), size);
  const target = await DmaFile.create(dir.file("target"));
  const memories = new Set<unknown>();
  using _reads = interpose("read", ({ operation, pass }) => {
    memories.add(operation.memory);
    pass();
  });
  using writes = interpose("write", ({ operation, pass }) => {
    if (memories.has(operation.memory)) pass();
  });
  await source.readable.pipeTo(target.writable);
  assert(writes.count > 1);
  await assertFile(target.path, pattern(size));
});

testBetweenDirectories("A file is piped", async (from, to) => {
  const size = 200_001;
  for (const [start, position] of [[0, 0], [512, 0], [3, 4099]] as const) {
    for (const bufferSize of [4096, 40_000]) {
      for (const { pipe } of ways) {
        const source = await openPattern(from.file("source"), size);
        const target = await DmaFile.create(to.file("target"));
        await pipe(
          new DmaStreamReader(source, { start, bufferSize }),
          new DmaStreamWriter(target, { position, bufferSize }),
        );
        const hole = new Uint8Array(position);
        await assertFile(target.path, joined(hole, pattern(size - start, start)));
      }
    }
  }
});

// The second chunk is read directly into the view.
for (const readAhead of [1, 0]) {
  const name = `A pipe that begins at any moment around a read is whole, readAhead ${readAhead}`;
  testDirectAndCached(name, async (dir) => {
    for (let turns = 0; turns < 20; turns++) {
      const { writable } = await DmaFile.create(dir.file("to"));
      const file = await openPattern(dir.file("from"), 100_000);
      const stream = new DmaStreamReader(file, { bufferSize: 16_384, readAhead });
      const reader = readAhead > 0 ? stream.getReader() : stream.getReader({ mode: "byob" });
      using reads = hold("read", { results: true });
      const { bytes } = file.allocBuffer(16_384);
      (reader as ReadableStreamBYOBReader).read(bytes).catch(() => {});
      await reads.reach();
      reader.releaseLock();
      reads.letGo();
      for (let turn = 0; turn < turns; turn++) await undefined;
      await stream.pipeTo(writable);
      await assertFile(dir.file("to"), pattern(100_000), `${turns} turns`);
    }
  });
}

// ---- failures and signals --------------------------------------------------------------------------------------

/** Each combination of preventClose, preventAbort and preventCancel. */
const preventions: StreamPipeOptions[] = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => ({
  preventAbort: (bits & 1) > 0,
  preventCancel: (bits & 2) > 0,
  preventClose: (bits & 4) > 0,
}));

/** Reads or writes from `position` on fail. */
function failFrom(operation: "read" | "write", position: number, errno: number): Interposed {
  return fail(operation, errno, (each) => each.position >= position);
}

/** Reads or writes from `position` on hang. */
function holdFrom(operation: "read" | "write", position: number): Held {
  return hold(operation, { only: (each) => each.position >= position });
}

/** Pipes, and runs an action when the target has some bytes and others are not read yet. */
async function assertSameUnderWay(
  dir: TestDirectory,
  act: (piping: Piping) => unknown,
  options?: StreamPipeOptions,
): Promise<Ending> {
  let gate: Held;
  return await assertSame(dir, {
    size: 2_000_001,
    ...options ? { options } : {},
    prepare: () => void (gate = holdFrom("read", 800_000)),
    during: async (piping) => {
      await eventually(() => piping.to.currentPos >= 300_000);
      const over = act(piping);
      gate.letGo();
      await over;
    },
    untimed: true,
  });
}

/** Options with the signal of a new controller each time that they are read. */
function abortable(prevention: StreamPipeOptions) {
  let controller: AbortController;
  const options = {
    ...prevention,
    get signal() {
      controller = new AbortController();
      return controller.signal;
    },
  };
  return { options, abort: (reason?: unknown) => controller.abort(reason) };
}

/** The end of a pipe with `result` on both sides, unless the options prevent it on one side. */
function endedBy(result: string, options: StreamPipeOptions, bytes = -1): Ending {
  const { preventAbort, preventCancel } = options;
  return {
    result,
    reader: preventCancel ? "open" : "ended",
    writer: preventAbort ? "open" : result,
    bytes,
    open: [preventCancel ? 1 : 0, preventAbort ? 1 : 0],
  };
}

const errors = [
  ["source", "read", Errno.EIO, "Input/output error (os error 5)"],
  ["target", "write", Errno.ENOSPC, "No space left on device (os error 28)"],
] as const;

for (const [side, operation, errno, says] of errors) {
  testDirectAndCached(`An error of the ${side} ends both sides`, async (dir) => {
    for (const options of preventions) {
      using _ = failFrom(operation, 131_072, errno);
      const ending = await assertSame(dir, { options, untimed: true });
      const result = `Error: ${says}: ${operation} '${dir.file(side)}'`;
      const own: Partial<Ending> = side === "source"
        ? { reader: result, open: [0, options.preventAbort ? 1 : 0] }
        : { writer: result, open: [options.preventCancel ? 1 : 0, 0] };
      assertEquals(ending, { ...endedBy(result, options), ...own });
    }
  });
}

testDirectAndCached("An error at the end of the target rejects the pipe", async (dir) => {
  for (
    const fails of [() => failFrom("write", 294_912, Errno.EIO), () => fail("sync", Errno.EIO)]
  ) {
    using _ = fails();
    const { result, writer, open } = await assertSame(dir, { untimed: true });
    assertMatch(result, /os error 5/);
    assertEquals([writer, open], [result, [0, 0]]);
  }
});

testDirectAndCached("A file or a reader that is closed under the pipe ends it", async (dir) => {
  for (const side of ["from", "to"] as const) {
    const ending = await assertSameUnderWay(dir, (piping) => piping[side].file.close());
    assertMatch(ending.result, /^BadResource: Bad file descriptor \(os error 9\): .*closed$/);
    assertEquals(ending.open, [0, 0]);
  }
  const ending = await assertSameUnderWay(dir, ({ from }) => from.close());
  assertEquals(ending, { ...endedBy("resolved", {}), writer: "closed" });
});

const reasons = [undefined, null, 0, "words", { some: "thing" }, new Error("not now"), NaN, 1n];

testDirectAndCached("A signal that has aborted before lets nothing through", async (dir) => {
  for (const [index, prevention] of preventions.entries()) {
    const signal = AbortSignal.abort(reasons[index]);
    const ending = await assertSame(dir, { options: { ...prevention, signal } });
    assertEquals(ending, endedBy(inWords(signal.reason), prevention, 0));
  }
});

testDirectAndCached("A signal stops a pipe that is under way", async (dir) => {
  for (const [index, prevention] of preventions.entries()) {
    const { options, abort } = abortable(prevention);
    const ending = await assertSameUnderWay(dir, () => abort(reasons[index]), options);
    const { reason } = AbortSignal.abort(reasons[index]);
    assertEquals(ending, endedBy(inWords(reason), prevention));
  }
});

testDirectAndCached("A signal counts until the source has ended", async (dir) => {
  for (const prevention of preventions) {
    const { options, abort } = abortable(prevention);
    let closes: Held;
    const ending = await assertSame(dir, {
      options,
      prepare: () => void (closes = hold("close")),
      during: async () => {
        // Every byte has been moved.
        await closes.reach();
        abort("enough");
        await pause(0);
        closes.letGo();
      },
      untimed: true,
    });
    assertEquals(ending.result, '"enough"');
    assertEquals(ending.writer, prevention.preventAbort ? "open" : '"enough"');
  }
});

for (const operation of ["read", "write"] as const) {
  for (const prevents of [false, true]) {
    const name = `A signal waits for the disks of what it ends only: ${operation}, ${prevents}`;
    testWays(name, 2_000_001, async ({ way, from, to }) => {
      await from.close();
      // Its chunks are larger than what the target has room for.
      const { readable } = await DmaFile.open(from.file.path);
      using gate = holdFrom(operation, 0);
      const controller = new AbortController();
      const { signal } = controller;
      const options = { preventAbort: prevents, preventCancel: prevents, signal };
      let over = false;
      const piped = way.pipe(readable, to, options).then(() => "resolved", (reason) => reason);
      piped.then(() => over = true);
      await gate.reach();
      controller.abort("enough");
      await pause(5);
      // The plain pipe also waits until the target has accepted its chunk.
      const waits = !prevents || (operation === "write" && way.name === "plain");
      assertEquals(over, !waits);
      gate.letGo();
      assertEquals(await piped, "enough");
      await readable.cancel();
      await to.abort();
    });
  }
}

testWays(
  "After an error or a signal the rest can be piped",
  3_000_001,
  async ({ way, from, to }) => {
    for (const position of [50_000, 500_000, 1_000_000]) {
      using gate = holdFrom("read", position + 300_000);
      const controller = new AbortController();
      const { signal } = controller;
      const piped = way.pipe(from, to, { preventAbort: true, preventCancel: true, signal });
      await eventually(() => to.currentPos >= position);
      controller.abort();
      gate.letGo();
      await assertRejects(() => piped, DOMException);
      assertEquals([from.locked, to.locked], [false, false]);
    }
    {
      using _ = failFrom("read", 2_000_000, Errno.EIO);
      await assertRejects(() => way.pipe(from, to, { preventAbort: true }), Error, "os error 5");
    }
    const rest = new DmaStreamReader(await DmaFile.open(from.file.path), { start: to.currentPos });
    await way.pipe(rest, to);
    await assertFile(to.file.path, pattern(3_000_001));
  },
);

testWays("A pipe that cannot begin locks nothing", 5000, async ({ way, from, to }) => {
  const pipe = way.pipe as (...args: unknown[]) => Promise<void>;
  for (const args of [[from, {}], [from, to, { signal: {} }], [from, to, "options"]]) {
    await assertRejects(() => pipe(...args), TypeError);
    assertEquals([from.locked, to.locked], [false, false]);
  }
  const reader = from.getReader();
  await assertRejects(() => pipe(from, to), TypeError);
  assertEquals(to.locked, false);
  reader.releaseLock();
  const writer = to.getWriter();
  await assertRejects(() => pipe(from, to), TypeError);
  assertEquals(from.locked, false);
  writer.releaseLock();
  await pipe(from, to);
  await assertFile(to.file.path, pattern(5000));
});

testDirectAndCached("A target that is over cancels the source", async (dir) => {
  const preparations = [
    (to: DmaStreamWriter) => to.close(),
    (to: DmaStreamWriter) => to.abort(new Error("over")),
    (to: DmaStreamWriter) => to.file.close(),
  ];
  for (const prepare of preparations) {
    for (const preventCancel of [false, true]) {
      const ending = await assertSame(dir, {
        options: { preventCancel },
        prepare: ({ to }) => prepare(to),
      });
      assert(ending.result !== "resolved");
      assertEquals([ending.reader, ending.bytes], [preventCancel ? "open" : "ended", 0]);
    }
  }
});

testDirectAndCached("A source that is over ends the target", async (dir) => {
  for (const options of preventions) {
    const prepare = async ({ from }: Piping) => void await allOf(from);
    const ending = await assertSame(dir, { options, prepare, untimed: true });
    assertEquals(ending.result, "resolved");
    assertEquals(ending.writer, options.preventClose ? "open" : "closed");
    const fail = async ({ from }: Piping) => {
      await from.file.close();
      const reader = from.getReader();
      await reader.read().catch(() => {});
      reader.releaseLock();
    };
    const failed = await assertSame(dir, { options, prepare: fail });
    assertMatch(failed.result, /^BadResource/);
    assertEquals(failed.writer, options.preventAbort ? "open" : failed.result);
  }
});
