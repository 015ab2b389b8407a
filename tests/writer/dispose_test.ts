// `await using` with a DmaStreamWriter that fails: a failure is told once, and never not at all.

import { assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile, type DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { fail, interpose } from "../support/interpose.ts";
import { assertClosed, create, narrow, testWriter } from "./create.ts";

const unreserved = { bufferSize: 4096, preallocate: false };

/** Whether a descriptor leads to the file that most tests write. */
function isTarget(dir: TestDirectory, fd: number): boolean {
  return Deno.readLinkSync(`/proc/self/fd/${fd}`) === `${Deno.realPathSync(dir.path)}/file`;
}

async function assertFull(work: () => Promise<unknown>): Promise<void> {
  const { name, code } = await assertRejects(work, Error) as DmaError;
  assertEquals([name, code], ["Error", "ENOSPC"]);
}

/** Ways to be told that a write failed in the background. */
const tellers: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
  write: async (stream) => {
    for (;;) await stream.write(pattern(3000));
  },
  writeBuffer: async (stream) => {
    for (;;) await stream.writeBuffer(stream.file.allocBuffer(4096));
  },
  flushAligned: (stream) => stream.write(pattern(5000)).then(() => stream.flushAligned()),
  sync: (stream) => stream.write(pattern(5000)).then(() => stream.sync()),
  close: (stream) => stream.write(pattern(5000)).then(() => stream.close()),
  "getWriter().write": async (stream) => {
    const writer = stream.getWriter();
    try {
      for (;;) await writer.write(pattern(3000));
    } finally {
      writer.releaseLock();
    }
  },
  pipeTo: async (stream) => {
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(pattern(3000)) });
    await endless.pipeTo(stream);
  },
  "pipeTo of one chunk": (stream) => ReadableStream.from([pattern(300_000)]).pipeTo(stream),
  "pipeTo from a file": async (stream) => {
    const source = await DmaFile.create(`${stream.file.path} source`);
    await source.writeAt(source.allocBuffer(1 << 20), 0);
    await source.readable.pipeTo(stream);
  },
};

for (const [name, tell] of Object.entries(tellers)) {
  // A caller may write the file anew, and nothing may cut it then.
  const title = `A failure told by ${name} comes when the file is let go, and only once`;
  testWriter(title, unreserved, async (stream, path, dir) => {
    using _ = fail("write", Errno.ENOSPC, ({ fd }) => isTarget(dir, fd));
    using _closes = interpose("close", ({ pass }) => void setTimeout(pass, 20));
    await assertFull(() => tell(stream));
    assertEquals(descriptorsOf(path), 0);
    await stream[Symbol.asyncDispose]();
  });
}

testDirectAndCached("Disposing rejects with a failure that no call has reported", async (dir) => {
  for (const piped of [false, true]) {
    const stream = await create(dir, unreserved);
    using _ = fail("write", Errno.ENOSPC);
    await assertFull(async () => {
      await using writer = stream;
      if (piped) {
        await ReadableStream.from([pattern(5000)]).pipeTo(writer, { preventClose: true });
      } else {
        await writer.write(pattern(5000));
      }
      await eventually(() => engine.counters.inFlight === 0);
    });
  }
});

const wide = { bufferSize: 65_536, preallocate: false };

testWriter("A pipe from a file reports a failure at its end", wide, async (stream, _, dir) => {
  const source = await DmaFile.create(dir.file("source"));
  await source.writeAt(source.allocBuffer(512 * 1024), 0);
  const closing = Promise.withResolvers<void>();
  using _close = interpose("close", ({ pass }) => {
    closing.resolve();
    setTimeout(() => pass(), 30);
  });
  using _write = interpose("write", ({ operation, completion, pass }) => {
    if (!isTarget(dir, operation.fd)) return pass();
    closing.promise.then(() => completion.complete(-Errno.ENOSPC));
  });
  await assertFull(() => source.readable.pipeTo(stream, { preventClose: true }));
  await stream[Symbol.asyncDispose]();
});

const one = { ...unreserved, ...narrow };

testWriter("A failed write whose promise is ignored is reported", one, async (stream) => {
  const reported: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reported.push(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  try {
    using _ = fail("write", Errno.ENOSPC);
    for (let count = 0; count < 8; count++) stream.write(pattern(5000));
    await eventually(() => reported.length > 0);
    assertEquals(reported[0], await assertRejects(() => stream.close()));
  } finally {
    removeEventListener("unhandledrejection", listener);
  }
});

// ---- without a failure ------------------------------------------------------------------------------------------

/** Ways to have closed, with nobody waiting for it. */
const closings: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
  nothing: () => Promise.resolve(),
  close: (stream) => stream.close(),
  "close of the lock": (stream) => stream.getWriter().close(),
  "close of a lock that was released": (stream) => {
    const writer = stream.getWriter();
    const closing = writer.close();
    writer.releaseLock();
    return closing;
  },
};

for (const [name, close] of Object.entries(closings)) {
  testDirectAndCached(`Disposing writes what was given, and closes, after ${name}`, async (dir) => {
    // With `append` the stream has to open first, and else to take a chunk.
    for (const options of [{ append: true }, narrow]) {
      const stream = await create(dir, options);
      const writer = stream.getWriter();
      const written = writer.write(pattern(100_001));
      writer.releaseLock();
      const closing = close(stream);
      await stream[Symbol.asyncDispose]();
      await assertClosed(stream, pattern(100_001));
      await Promise.all([written, closing]);
    }
  });
}

/** Ways to have ended, after which there is nothing to dispose of. */
const ends: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
  close: (stream) => stream.close(),
  abort: (stream) => stream.abort("enough"),
  "close of the lock": (stream) => stream.getWriter().close(),
  "abort of the lock": (stream) => stream.getWriter().abort("enough"),
  pipe: (stream) => ReadableStream.from([pattern(5)]).pipeTo(stream),
  "broken pipe": (stream) => {
    const source = new ReadableStream({ start: (control) => control.error("broken") });
    return source.pipeTo(stream).catch(() => {});
  },
  seal: (stream) => stream.seal().then((file) => file.close()),
};

testDirectAndCached("await using does nothing after close, seal or abort", async (dir) => {
  for (const [name, end] of Object.entries(ends)) {
    await using stream = await create(dir);
    await stream.write(pattern(5000));
    await end(stream);
    await stream[Symbol.asyncDispose]();
    assertEquals(descriptorsOf(stream.file.path), 0, name);
  }
});
