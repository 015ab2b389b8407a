// reader.pipeTo(writer) behaves like the pipe of any stream: the same bytes, errors, locks and states.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { eventually, pause } from "../setup/command.ts";
import { allOf, assertFile, joined, openPattern, pattern, readPattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/leaks.ts";
import { testDirectAndCached, type TestDirectory, testPairs } from "../support/dirs.ts";
import { engine, fail, type Held, hold, type Interposed, watch } from "../support/engine.ts";

interface Piping {
  readonly from: DmaStreamReader;
  readonly to: DmaStreamWriter;
  /** Aborts the signal of the pipe. */
  readonly abort: (reason?: unknown) => void;
  /** Keeps a fault until the pipe has ended. */
  readonly use: (fault: Disposable) => void;
}

interface Pipe {
  /** Bytes of the source. @default {300_001} */
  size?: number;
  options?: StreamPipeOptions;
  /** Called before the pipe is. */
  prepare?: (piping: Piping) => unknown;
  /** Called as soon as the pipe runs. */
  during?: (piping: Piping) => unknown;
}

/** The ends of a pipe from a new file with so many bytes to another. Buffers are small, so that there are many. */
async function openPipe(dir: TestDirectory, size: number) {
  const source = await openPattern(dir.file("source"), size);
  const target = await DmaFile.create(dir.file("target"));
  const bufferSize = 16_384;
  return {
    from: new DmaStreamReader(source, { bufferSize }),
    to: new DmaStreamWriter(target, { bufferSize, preallocate: false }),
  };
}

/** Runs a pipe in both ways, and asserts that the direct one ends like the plain one. Returns that ending. */
async function assertSame(dir: TestDirectory, pipe: Pipe) {
  const plain = await run(dir, ReadableStream.prototype.pipeTo, pipe);
  assertEquals(await run(dir, DmaStreamReader.prototype.pipeTo, pipe), plain);
  return plain;
}

/** Runs a pipe. Returns its result, the states of both streams, and how many descriptors lead to their files. */
async function run(dir: TestDirectory, pipeTo: DmaStreamReader["pipeTo"], pipe: Pipe) {
  const { size = 300_001, options, prepare, during } = pipe;
  const { from, to } = await openPipe(dir, size);
  const controller = new AbortController();
  using faults = new DisposableStack();
  const piping = {
    from,
    to,
    abort: (reason?: unknown) => controller.abort(reason),
    use: (fault: Disposable) => faults.use(fault),
  };
  await prepare?.(piping);
  const piped = pipeTo.call(from, to, { ...options, signal: controller.signal });
  const result = piped.then(() => "resolved", inWords);
  await during?.(piping);
  const ending = {
    result: await result,
    reader: from.locked ? "locked" : await stateOfReader(from),
    writer: to.locked ? "locked" : await stateOfWriter(to),
  };
  // After an error descriptors are closed a little later.
  await eventually(() => engine.counters.inFlight === 0);
  const open = [descriptorsOf(from.file.path), descriptorsOf(to.file.path)];
  faults.dispose();
  if (ending.writer === "open") await to.flushAligned({ tail: true });
  await to.abort().catch(() => {});
  for (const each of [from, from.file, to.file]) await each.close().catch(() => {});
  const { size: length } = await Deno.stat(to.file.path);
  await assertFile(to.file.path, pattern(length));
  return { ...ending, open };
}

async function stateOfReader(stream: DmaStreamReader): Promise<string> {
  const reader = stream.getReader();
  const state = await reader.read().then(({ done }) => done ? "ended" : "open", inWords);
  reader.releaseLock();
  return state;
}

async function stateOfWriter(stream: DmaStreamWriter): Promise<string> {
  const writer = stream.getWriter();
  let state = "open";
  writer.closed.then(() => state = "closed", (error) => state = inWords(error));
  await pause(1);
  writer.releaseLock();
  return state;
}

/** An error or another reason, for comparisons. */
function inWords(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : Deno.inspect(error);
}

testDirectAndCached("A file of any length is piped whole", async (dir) => {
  for (const size of [0, 1, 511, 512, 4095, 4096, 4097, 65_536, 131_073, 3_000_001]) {
    for (const preventClose of [false, true]) {
      const [writer, open] = preventClose ? ["open", [0, 1]] : ["closed", [0, 0]];
      const ending = await assertSame(dir, { size, options: { preventClose } });
      assertEquals(ending, { result: "resolved", reader: "ended", writer, open });
      await assertFile(dir.file("target"), pattern(size));
    }
  }
});

testDirectAndCached("Whole buffers go from reads to writes without a copy", async (dir) => {
  const size = 4 << 20;
  const options = { bufferSize: 65_536 };
  const source = await readPattern(dir.file("source"), size, options);
  const target = new DmaStreamWriter(await DmaFile.create(dir.file("target")), options);
  const [read, written] = [new Set<unknown>(), new Set<unknown>()];
  using _reads = watch("read", ({ memory }) => read.add(memory));
  using _writes = watch("write", ({ memory }) => written.add(memory));
  const reader = source.getReader();
  await reader.read();
  reader.releaseLock();
  await source.pipeTo(target);
  assert(written.size > 1 && written.isSubsetOf(read));
  await assertFile(target.file.path, pattern(size - 65_536, 65_536));
});

testPairs("A file is piped", async (from, to) => {
  const end = 200_001;
  for (const [start, position] of [[0, 0], [512, 0], [3, 0], [3, 4099]] as const) {
    for (const bufferSize of [4096, 40_000]) {
      const source = await openPattern(from.file("source"), end + 10_000);
      const target = await DmaFile.create(to.file("target"));
      const reader = new DmaStreamReader(source, { start, end, bufferSize });
      await reader.pipeTo(new DmaStreamWriter(target, { position, bufferSize }));
      const hole = new Uint8Array(position);
      await assertFile(target.path, joined(hole, pattern(end - start, start)));
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

testDirectAndCached("A pipe begins with the bytes of an abandoned read", async (dir) => {
  const { writable } = await DmaFile.create(dir.file("to"));
  const stream = await readPattern(dir.file("from"), 100_000, { bufferSize: 16_384 });
  const reader = stream.getReader({ mode: "byob" });
  await reader.read(new Uint8Array(10));
  await pause(1);
  // The read gets the rest of the first buffer, and waits for more.
  const view = new Uint8Array(60_000);
  const abandoned = assertRejects(() => reader.read(view, { min: 50_000 }), TypeError);
  reader.releaseLock();
  await stream.pipeTo(writable);
  await abandoned;
  await assertFile(dir.file("to"), pattern(99_990, 10));
});

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

type Act = (piping: Piping) => unknown;

/** A pipe to which something happens before it begins. */
function before(prepare: Act): Pipe {
  return { prepare };
}

/** A pipe to which something happens when a part of the bytes has been moved. */
function underWay(act: Act): Pipe {
  let gate: Held;
  return {
    size: 2_000_001,
    prepare: () => gate = hold("read", { only: ({ position }) => position >= 800_000 }),
    during: async (piping) => {
      await eventually(() => piping.to.currentPos >= 300_000);
      const over = act(piping);
      gate.letGo();
      await over;
    },
  };
}

/** A pipe to which something happens when every byte has been moved. */
function afterwards(act: Act): Pipe {
  let closes: Held;
  return {
    prepare: () => closes = hold("close"),
    during: async (piping) => {
      await closes.reach();
      act(piping);
      await pause(0);
      closes.letGo();
    },
  };
}

const badFile = /^BadResource: Bad file descriptor \(os error 9\): .*closed$/;

/** Pipes, and their result. All else is as with the plain pipe. */
const pipes: [name: string, pipe: Pipe, result: RegExp][] = [
  [
    "an error of the source",
    before(({ use }) => use(failFrom("read", 131_072, Errno.EIO))),
    /^Error: Input\/output error \(os error 5\): read '.*source'$/,
  ],
  [
    "an error of the target, which cannot be cut",
    before(({ use }) => {
      use(failFrom("write", 131_072, Errno.ENOSPC));
      use(fail("truncate", Errno.EIO));
    }),
    /^Error: No space left on device \(os error 28\): write '.*target'$/,
  ],
  ["a last write", before(({ use }) => use(failFrom("write", 294_912, Errno.EIO))), /error 5/],
  ["a sync that fails", before(({ use }) => use(fail("sync", Errno.EIO))), /error 5/],
  ["a source's file that is closed under way", underWay(({ from }) => from.file.close()), badFile],
  ["a target's file that is closed under way", underWay(({ to }) => to.file.close()), badFile],
  ["a reader that is closed under way", underWay(({ from }) => from.close()), /^resolved$/],
  ["a signal that is aborted before", before(({ abort }) => abort()), /^AbortError: /],
  ["a signal under way", underWay(({ abort }) => abort({ some: "thing" })), /^{ some: "thing" }$/],
  ["a signal after the last byte", afterwards(({ abort }) => abort(null)), /^null$/],
  ["a target that is closed", before(({ to }) => to.close()), /^TypeError/],
  ["a target that is aborted", before(({ to }) => to.abort(new Error("over"))), /^Error: over$/],
  ["a target's file that is closed before", before(({ to }) => to.file.close()), badFile],
  ["a source that is over", before(({ from }) => allOf(from)), /^resolved$/],
  [
    "a source that has failed",
    before(async ({ from }) => {
      await from.file.close();
      const reader = from.getReader();
      await reader.read().catch(() => {});
      reader.releaseLock();
    }),
    badFile,
  ],
];

for (const [name, pipe, result] of pipes) {
  testDirectAndCached(`A pipe ends as any stream's: ${name}`, async (dir) => {
    for (const options of preventions) {
      const ending = await assertSame(dir, { options, ...pipe });
      // With preventClose the last bytes may stay in a buffer.
      if (!options.preventClose) assertMatch(ending.result, result);
    }
  });
}

testDirectAndCached("A pipe that fails waits for the disks of what it ends only", async (dir) => {
  for (const operation of ["read", "write", "close"] as const) {
    for (const prevents of [false, true]) {
      for (const signals of operation === "read" && prevents ? [true, false] : [true]) {
        const { from, to } = await openPipe(dir, 2_000_001);
        using gate = hold(operation);
        const controller = new AbortController();
        const { signal } = controller;
        const options = { preventAbort: prevents, preventCancel: prevents, signal };
        let over = false;
        const piped = from.pipeTo(to, options).catch(() => {}).finally(() => over = true);
        await gate.reach();
        if (signals) controller.abort();
        else await to.file.close();
        if (prevents) await eventually(() => over);
        else await pause(5);
        assertEquals(over, prevents);
        gate.letGo();
        await piped;
        // After a signal the rest can be piped.
        if (prevents && signals) {
          await from.pipeTo(to);
          await assertFile(to.file.path, pattern(2_000_001));
        }
        await from.close();
        await to.abort().catch(() => {});
      }
    }
  }
});

testDirectAndCached("A pipe that cannot begin locks nothing", async (dir) => {
  const { from, to } = await openPipe(dir, 5000);
  for (const args of [[{}], [to, { signal: {} }], [to, "options"]] as never[][]) {
    await assertRejects(() => from.pipeTo(args[0]!, args[1]), TypeError);
    assertEquals([from.locked, to.locked], [false, false]);
  }
  for (const [locked, other] of [[from, to], [to, from]] as const) {
    const lock = locked instanceof DmaStreamReader ? locked.getReader() : locked.getWriter();
    await assertRejects(() => from.pipeTo(to), TypeError);
    assertEquals(other.locked, false);
    lock.releaseLock();
  }
  await from.pipeTo(to);
  await assertFile(to.file.path, pattern(5000));
});
