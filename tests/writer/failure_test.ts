// A DmaStreamWriter that fails, is aborted or disposed of, or whose file is closed: the first failure is final and reported
// once, the file is cut to what is whole, and nothing is left over.

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type DmaError, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { assertSticky } from "../faults/failed_writer.ts";
import { openPattern, pattern } from "../support/bytes.ts";
import { eventually } from "../setup/command.ts";
import { descriptorsOf } from "../support/leaks.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine, fail, hold, interpose } from "../support/engine.ts";
import { assertClosed, create, narrow, testWriter } from "./create.ts";

const hinted = { bufferSize: 4096, sizeHint: 1_000_000 };

testInOneDirectory("An end rejects if the file is not cut or closed", async (dir) => {
  const ends: ["close" | "truncate", (stream: DmaStreamWriter) => Promise<void>][] = [
    ["close", (stream) => stream.close()],
    ["truncate", (stream) => stream.abort()],
    ["truncate", ({ file }) => file.close()],
  ];
  for (const [operation, end] of ends) {
    const stream = await create(dir, hinted);
    await stream.write(pattern(10_000));
    using _ = fail(operation, Errno.EIO);
    await assertRejects(() => end(stream), Error, `(os error 5): ${operation}`);
    assertEquals(descriptorsOf(stream.file.path), 0);
  }
});

const unreserved = { bufferSize: 4096, preallocate: false };

async function assertFull(work: () => Promise<unknown>): Promise<void> {
  const { name, code } = await assertRejects(work, Error) as DmaError;
  assertEquals([name, code], ["Error", "ENOSPC"]);
}

async function forever(call: () => Promise<void>): Promise<never> {
  for (;;) await call();
}

/** Resolves when the file of a failed writer is closed. */
function letGo({ file }: DmaStreamWriter): Promise<void> {
  return eventually(() => descriptorsOf(file.path) === 0);
}

/** Ways to be told of a write that fails in the background, before they begin or after it. */
const tellers: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
  write: (stream) => forever(() => stream.write(pattern(3000))),
  writeBuffer: (stream) => forever(() => stream.writeBuffer(stream.file.allocBuffer(4096))),
  flushSync: async (stream) => {
    await letGo(stream);
    stream.flushSync();
  },
  flushAligned: (stream) => stream.flushAligned(),
  sync: (stream) => stream.sync(),
  "sync that fails": (stream) => stream.sync(),
  close: (stream) => stream.close(),
  "closed, before an abort": (stream) => stream.closed.finally(() => stream.abort()),
  "closed of a lock, after an abort": async (stream) => {
    await letGo(stream);
    await stream.abort();
    await stream.getWriter().closed;
  },
  "write of a lock": (stream) => {
    const lock = stream.getWriter();
    return forever(() => lock.write(pattern(3000))).finally(() => lock.releaseLock());
  },
  pipeTo: (stream) =>
    new ReadableStream({ pull: (control) => control.enqueue(pattern(3000)) }).pipeTo(stream),
  "pipeTo of one chunk": (stream) => ReadableStream.from([pattern(300_000)]).pipeTo(stream),
  "pipeTo from a file": async (stream) => {
    const source = await openPattern(`${stream.file.path} source`, 1 << 20);
    await source.readable.pipeTo(stream);
  },
};

testDirectAndCached("A failure is told once, when the file is let go", async (dir) => {
  for (const [name, tell] of Object.entries(tellers)) {
    const stream = await create(dir, unreserved);
    using _ = fail(name === "sync that fails" ? "sync" : "write", Errno.ENOSPC);
    using _closes = interpose("close", ({ pass }) => void setTimeout(pass, 20));
    // A pipe into a stream that has failed before does not count.
    if (!name.startsWith("pipe")) await stream.write(pattern(5000));
    await assertFull(() => tell(stream));
    // A caller may write the file anew, and nothing may cut it then.
    assertEquals(descriptorsOf(stream.file.path), 0, name);
    await stream[Symbol.asyncDispose]();
  }
});

testDirectAndCached("After an abort calls share one error, and no writer begins", async (dir) => {
  for (const locked of [false, true]) {
    const stream = await create(dir);
    await stream.write(pattern(5000));
    const lock = locked ? stream.getWriter() : undefined;
    const aborted = (lock ?? stream).abort();
    // The file is about to be closed.
    for await (const _ of Array(99)) assertThrows(() => new DmaStreamWriter(stream.file));
    await aborted;
    lock?.releaseLock();
    const error = await assertRejects(() => stream.closed, DOMException);
    assertEquals(error.name, "AbortError");
    await assertSticky(stream, error);
  }
});

testDirectAndCached("Disposing is silent as soon as a failed writer is aborted", async (dir) => {
  for (const locked of [false, true]) {
    const stream = await create(dir, unreserved);
    using _ = fail("write", Errno.ENOSPC);
    await stream.write(pattern(5000));
    await letGo(stream);
    const lock = locked ? stream.getWriter() : undefined;
    const aborted = (lock ?? stream).abort();
    lock?.releaseLock();
    await stream[Symbol.asyncDispose]();
    await aborted;
  }
});

testDirectAndCached("Disposing rejects with a failure that no call has reported", async (dir) => {
  for (const piped of [false, true]) {
    const stream = await create(dir, unreserved);
    using _ = fail("write", Errno.ENOSPC);
    await assertFull(async () => {
      await using writer = stream;
      const source = ReadableStream.from([pattern(5000)]);
      if (piped) await source.pipeTo(writer, { preventClose: true });
      else await writer.write(pattern(5000));
      await eventually(() => engine.counters.inFlight === 0);
      const lock = writer.getWriter();
      await assertRejects(() => writer.abort(), TypeError, "locked");
      lock.releaseLock();
    });
  }
});

testDirectAndCached("Disposing leaves a failure to a pipe that rejects with it", async (dir) => {
  // What the pipe does while the file of the failed writer is being closed.
  for (const pipe of ["begins", "goes on", "ends"]) {
    const stream = await create(dir, unreserved);
    using _ = fail("write", Errno.ENOSPC);
    using closes = hold("close");
    const { readable, writable } = new TransformStream<Uint8Array<ArrayBuffer>>();
    const source = writable.getWriter();
    if (pipe === "begins") {
      await stream.write(pattern(5000));
      await closes.reach();
    }
    const piped = readable.pipeTo(stream, { preventClose: true });
    piped.catch(() => {});
    if (pipe !== "begins") await source.write(pattern(5000));
    await closes.reach();
    if (pipe === "ends") await Promise.all([source.close(), piped]);
    const disposed = stream[Symbol.asyncDispose]();
    disposed.catch(() => {});
    closes.letGo();
    if (pipe !== "ends") await disposed;
    await assertFull(() => pipe === "ends" ? disposed : piped);
  }
});

const one = { ...unreserved, ...narrow };

testWriter("A failed write whose promise is ignored is reported", one, async (stream) => {
  const reported: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reported.push(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  using _end = { [Symbol.dispose]: () => removeEventListener("unhandledrejection", listener) };
  using _ = fail("write", Errno.ENOSPC);
  for (let count = 0; count < 8; count++) stream.write(pattern(5000));
  await eventually(() => reported.length > 0);
  assertEquals(reported[0], await assertRejects(() => stream.close()));
});

testWriter("A chunk after close() does not change why the close fails", {}, async (stream) => {
  const lock = stream.getWriter();
  lock.write(pattern(5000));
  using _ = fail("sync", Errno.EIO);
  const ends = [lock.closed, lock.close()];
  const failed = ends.map((end) => assertRejects(() => end, Error, "os error 5"));
  for (let index = 0; index < 10; index++) {
    await assertRejects(() => lock.write(pattern(10)), TypeError);
  }
  await Promise.all(failed);
});

testWriter("abort stops a chunk that is being written, however large", narrow, async (stream) => {
  using later = hold("write", { only: ({ position }) => position >= 40_960 });
  const written = assertRejects(() => stream.write(pattern(1_000_000)));
  await later.reach();
  const aborted = stream.abort("enough");
  later.letGo();
  await aborted;
  assertEquals([await written, stream.currentFlushedPos], ["enough", 45_056]);
  await assertClosed(stream, pattern(45_056));
});

testDirectAndCached("file.close() gives up a writer that is not closing", async (dir) => {
  for (const options of [hinted, { bufferSize: 4096, closeFile: false }]) {
    const stream = await create(dir, options);
    await stream.write(pattern(10_001));
    const flushed = await stream.flushAligned();
    await stream.file.close();
    await assertClosed(stream, pattern(flushed));
    const error = await assertRejects(() => stream.write(pattern(1)), Deno.errors.BadResource);
    await assertSticky(stream, error);
    assertEquals([engine.pool.blocks, engine.counters.inFlight], [0, 0]);
  }
  for (const options of [{ closeFile: true }, { closeFile: false }, narrow]) {
    for (const locked of [false, true]) {
      const stream = await create(dir, options);
      const target = locked ? stream.getWriter() : stream;
      const written = target.write(pattern(1_000_001));
      // One buffer takes it only bit by bit.
      if (options !== narrow) await written;
      const closing = target.close();
      await stream.file.close();
      await assertClosed(stream, pattern(1_000_001));
      await Promise.all([written, closing]);
    }
  }
});

/** Ways to end without a failure, or not to. */
const ends: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
  nothing: () => Promise.resolve(),
  close: (stream) => stream.close(),
  abort: (stream) => stream.abort("enough"),
  "close of the lock": (stream) => stream.getWriter().close(),
  "close of a lock that was released": (stream) => {
    const writer = stream.getWriter();
    const closing = writer.close();
    writer.releaseLock();
    return closing;
  },
  "abort of the lock": (stream) => stream.getWriter().abort("enough"),
  pipe: (stream) => ReadableStream.from([pattern(0)]).pipeTo(stream),
  "broken pipe": (stream) => {
    const source = new ReadableStream({ start: (control) => control.error("broken") });
    return source.pipeTo(stream).catch(() => {});
  },
  seal: (stream) => stream.seal().then((file) => file.close()),
};

testDirectAndCached("Disposing waits for the end that was asked for, or closes", async (dir) => {
  for (const [name, end] of Object.entries(ends)) {
    // With `append` the stream has to open first, and else to take a chunk.
    for (const options of [{ append: true }, narrow]) {
      for (const awaits of /pipe|seal/.test(name) ? [true] : [false, true]) {
        const stream = await create(dir, options);
        const writer = stream.getWriter();
        const written = writer.write(pattern(100_001)).catch(() => {});
        writer.releaseLock();
        const ended = end(stream);
        if (awaits) await ended;
        await stream[Symbol.asyncDispose]();
        const length = /abort|broken/.test(name) ? stream.currentFlushedPos : 100_001;
        await assertClosed(stream, pattern(length), `${name}, ${awaits}`);
        await Promise.all([written, ended]);
        // Another end changes nothing.
        await stream[Symbol.asyncDispose]();
        if (!stream.locked) await stream.abort();
      }
    }
  }
});
