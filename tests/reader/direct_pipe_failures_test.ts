// From file to file, when something goes wrong or is stopped: the same errors, locks and states as of any stream.

import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pause } from "../setup/command.ts";
import { assertFile, joined, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { fail, type Held, hold, interpose, type Interposed } from "../support/interpose.ts";
import { allOf, openPattern } from "../support/patterned.ts";
import { assertSame, type Ending, type Piping, type Way, ways } from "./pipe_ways.ts";

/** Each combination of the options that keep a side from being ended. */
const preventions: StreamPipeOptions[] = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => ({
  preventAbort: (bits & 1) > 0,
  preventCancel: (bits & 2) > 0,
  preventClose: (bits & 4) > 0,
}));

/** Reads or writes from `position` on fail. */
function failFrom(operation: "read" | "write", position: number, errno: number): Interposed {
  return fail(operation, errno, (each) => each.position >= position);
}

/** Reads or writes from `position` on do not get through to the disk. */
function holdFrom(operation: "read" | "write", position: number): Held {
  return hold(operation, { only: (each) => each.position >= position });
}

/** Pipes, and does something when the target has some bytes and others are not read yet. */
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

/** How a pipe ends that both sides are told of by `result`, unless the options keep a side from it. */
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

testDirectAndCached("An error of the source aborts the target", async (dir) => {
  for (const options of preventions) {
    using _ = failFrom("read", 131_072, Errno.EIO);
    const ending = await assertSame(dir, { options, untimed: true });
    const result = `Error: Input/output error (os error 5): read '${dir.file("source")}'`;
    assertEquals(ending, {
      ...endedBy(result, options),
      reader: result,
      open: [0, options.preventAbort ? 1 : 0],
    });
  }
});

testDirectAndCached("Bytes read before the error are written with preventAbort", async (dir) => {
  for (const { name, pipe } of ways) {
    const source = await openPattern(dir.file("source"), 300_001);
    const target = (await DmaFile.create(dir.file(name))).writable;
    {
      using _ = failFrom("read", 131_072, Errno.EIO);
      const from = new DmaStreamReader(source, { bufferSize: 16_384 });
      await assertRejects(() => pipe(from, target, { preventAbort: true }), Error, "os error 5");
    }
    assertEquals([target.locked, target.currentPos], [false, 131_072]);
    await target.write(pattern(10));
    await target.close();
    await assertFile(dir.file(name), joined(pattern(131_072), pattern(10)));
  }
});

testDirectAndCached("An error of the target cancels the source", async (dir) => {
  for (const options of preventions) {
    using _ = failFrom("write", 131_072, Errno.ENOSPC);
    const ending = await assertSame(dir, { options, untimed: true });
    const result = `Error: No space left on device (os error 28): write '${dir.file("target")}'`;
    assertEquals(ending, endedBy(result, { ...options, preventAbort: false }));
  }
});

testDirectAndCached("An error at the end of the target rejects the pipe", async (dir) => {
  for (const operation of ["write", "sync"] as const) {
    using _ = operation === "write"
      ? failFrom("write", 294_912, Errno.EIO)
      : fail("sync", Errno.EIO);
    const { result, writer, open } = await assertSame(dir, { untimed: true });
    assertMatch(result, /os error 5/);
    assertEquals([writer, open], [result, [0, 0]]);
  }
});

testDirectAndCached("A file that is closed under the pipe ends it", async (dir) => {
  for (const side of ["from", "to"] as const) {
    const ending = await assertSameUnderWay(dir, (piping) => piping[side].file.close());
    assertMatch(ending.result, /^BadResource: Bad file descriptor \(os error 9\): .*closed$/);
    assertEquals(ending.open, [0, 0]);
  }
});

testDirectAndCached("A reader that is closed under the pipe is at its end", async (dir) => {
  const ending = await assertSameUnderWay(dir, ({ from }) => from.close());
  assertEquals(ending, { ...endedBy("resolved", {}), writer: "closed" });
});

testDirectAndCached("A signal that has aborted before lets nothing through", async (dir) => {
  for (const prevention of preventions) {
    const reason = new Error("not now");
    const options = { ...prevention, signal: AbortSignal.abort(reason) };
    const ending = await assertSame(dir, { options });
    assertEquals(ending, endedBy("Error: not now", prevention, 0));
  }
});

testDirectAndCached("A signal stops a pipe that is under way", async (dir) => {
  for (const prevention of preventions) {
    const { options, abort } = abortable(prevention);
    const ending = await assertSameUnderWay(dir, () => abort(), options);
    assertEquals(ending, endedBy("AbortError: The signal has been aborted", prevention));
  }
});

testDirectAndCached("A signal counts until the source has ended", async (dir) => {
  for (const prevention of preventions) {
    const { options, abort } = abortable(prevention);
    let close: (() => void) | undefined;
    let interposed: Interposed;
    const ending = await assertSame(dir, {
      options,
      prepare: () => {
        close = undefined;
        interposed = interpose("close", ({ pass }) => void (close = () => pass()));
      },
      during: async () => {
        // Every byte has been moved.
        await eventually(() => close !== undefined);
        interposed[Symbol.dispose]();
        abort("enough");
        await pause(0);
        close!();
        engine.flush();
      },
      untimed: true,
    });
    assertEquals(ending.result, '"enough"');
    assertEquals(ending.writer, prevention.preventAbort ? "open" : '"enough"');
  }
});

testDirectAndCached("A signal waits for the disks of what it ends only", async (dir) => {
  for (const { name, pipe } of ways) {
    for (const operation of ["read", "write"] as const) {
      for (const prevents of [false, true]) {
        const source = (await openPattern(dir.file("source"), 2_000_001)).readable;
        const to = await DmaFile.create(dir.file("target"));
        const target = new DmaStreamWriter(to, { bufferSize: 16_384 });
        const gate = holdFrom(operation, 0);
        const controller = new AbortController();
        const { signal } = controller;
        const options = { preventAbort: prevents, preventCancel: prevents, signal };
        let over = false;
        const piped = pipe(source, target, options).then(() => "resolved", (reason) => reason);
        piped.then(() => over = true);
        await gate.reach();
        controller.abort("enough");
        await pause(5);
        // The plain way also waits until the target has taken the chunk that it was given.
        const waits = !prevents || (operation === "write" && name === "plain");
        assertEquals(over, !waits, `${name} ${operation} ${prevents}`);
        gate.letGo();
        assertEquals(await piped, "enough");
        await source.cancel();
        await target.abort();
      }
    }
  }
});

testDirectAndCached("After a signal the rest can be piped", async (dir) => {
  for (const { name, pipe } of ways) {
    const source = new DmaStreamReader(await openPattern(dir.file("source"), 3_000_001), {
      bufferSize: 16_384,
    });
    const target = (await DmaFile.create(dir.file(name))).writable;
    const options = { preventAbort: true, preventCancel: true };
    for (const position of [50_000, 500_000, 1_000_000]) {
      const gate = holdFrom("read", position + 300_000);
      const controller = new AbortController();
      const { signal } = controller;
      const piped = pipe(source, target, { ...options, signal });
      await eventually(() => target.currentPos >= position);
      controller.abort();
      gate.letGo();
      await assertRejects(() => piped, DOMException);
      assertEquals([source.locked, target.locked], [false, false]);
    }
    await pipe(source, target);
    await assertFile(dir.file(name), pattern(3_000_001));
  }
});

testDirectAndCached("A reason of any kind is passed on", async (dir) => {
  for (const reason of [undefined, null, 0, "words", { some: "thing" }]) {
    for (const { pipe } of ways) {
      const source = (await openPattern(dir.file("source"), 3_000_001)).readable;
      const target = (await DmaFile.create(dir.file("target"))).writable;
      const controller = new AbortController();
      const piped = pipe(source, target, { signal: controller.signal });
      controller.abort(reason);
      const expected = controller.signal.reason;
      assertStrictEquals(await piped.then(() => "resolved", (error) => error), expected);
    }
  }
});

/** A pipe that is refused leaves both sides as they were. */
async function assertRefused(way: Way, from: unknown, to: unknown, options?: unknown) {
  const pipe = way.pipe as (...args: unknown[]) => Promise<void>;
  return await assertRejects(() => pipe(from, to, options), TypeError);
}

testDirectAndCached("A pipe that cannot begin is refused, and locks nothing", async (dir) => {
  for (const way of ways) {
    const source = (await openPattern(dir.file("source"), 5000)).readable;
    const target = (await DmaFile.create(dir.file("target"))).writable;
    await assertRefused(way, source, {});
    await assertRefused(way, source, target, { signal: {} });
    await assertRefused(way, source, target, "options");
    assertEquals([source.locked, target.locked], [false, false]);
    const reader = source.getReader();
    await assertRefused(way, source, target);
    assertEquals(target.locked, false);
    reader.releaseLock();
    const writer = target.getWriter();
    await assertRefused(way, source, target);
    assertEquals(source.locked, false);
    writer.releaseLock();
    await way.pipe(source, target);
    await assertFile(dir.file("target"), pattern(5000));
  }
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

testDirectAndCached("A pipe that fails leaves no atomic file", async (dir) => {
  for (const { name, pipe } of ways) {
    const target = await DmaFile.create(dir.file(name), { atomic: true });
    const from = new DmaStreamReader(await openPattern(dir.file("source"), 300_001), {
      bufferSize: 16_384,
    });
    using _ = failFrom("read", 131_072, Errno.EIO);
    await assertRejects(() => pipe(from, target.writable), Error, "os error 5");
    assertEquals([await namesIn(dir.path), descriptorsOf(dir.file("source"))], [["source"], 0]);
  }
});
