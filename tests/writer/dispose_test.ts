// `await using` with a DmaStreamWriter that fails: a failure is told once, and never not at all.

import { assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile, type DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { create } from "./create.ts";

const ENOSPC = 28;

/** Ways to be told that a write failed in the background. */
const tellers: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
  write: async (stream) => {
    for (;;) await stream.write(pattern(3000));
  },
  writeBuffer: async (stream) => {
    for (;;) await stream.writeBuffer(stream.file.allocBuffer(4096));
  },
  flushAligned: async (stream) => {
    await stream.write(pattern(5000));
    await stream.flushAligned();
  },
  sync: async (stream) => {
    await stream.write(pattern(5000));
    await stream.sync();
  },
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
  "pipeTo from a file": async (stream) => {
    const source = await DmaFile.create(`${stream.file.path} source`);
    await source.writeAt(source.allocBuffer(1 << 20), 0);
    await source.readable.pipeTo(stream);
  },
  close: async (stream) => {
    await stream.write(pattern(5000));
    await stream.close();
  },
};

for (const [name, tell] of Object.entries(tellers)) {
  testDirectAndCached(
    `Disposing says nothing of a failure that was told by ${name}`,
    async (dir) => {
      const stream = await create(dir, { bufferSize: 4096, preallocate: false });
      const scope = async () => {
        await using writer = stream;
        const path = `${Deno.realPathSync(dir.path)}/file`;
        using _ = interpose("write", ({ operation, pass, end }) => {
          if (Deno.readLinkSync(`/proc/self/fd/${operation.fd}`) === path) end(-ENOSPC);
          else pass();
        });
        await tell(writer);
      };
      const error = await assertRejects(scope, Error) as DmaError;
      assertEquals([error.name, error.code], ["Error", "ENOSPC"]);
      assertEquals(descriptorsOf(stream.file.path), 0);
    },
  );
}

/** Ways to have closed, with nobody waiting for it. */
const closings: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
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
  testDirectAndCached(`Disposing waits for what was begun by ${name}`, async (dir) => {
    // With `append` the stream has to open first, and else to take a chunk.
    for (const options of [{ append: true }, { bufferSize: 4096, writeBehind: 1 }]) {
      const stream = await create(dir, options);
      const writer = stream.getWriter();
      const written = writer.write(pattern(100_001));
      writer.releaseLock();
      const closing = close(stream);
      await stream[Symbol.asyncDispose]();
      assertEquals(descriptorsOf(stream.file.path), 0);
      await Promise.all([written, closing]);
      assertEquals(await Deno.readFile(dir.file("file")), pattern(100_001));
    }
  });
}

testDirectAndCached("Disposing rejects with a failure that no call has reported", async (dir) => {
  for (const piped of [false, true]) {
    const stream = await create(dir, { bufferSize: 4096, preallocate: false });
    using _ = interpose("write", ({ end }) => end(-ENOSPC));
    const scope = async () => {
      await using writer = stream;
      if (piped) {
        await ReadableStream.from([pattern(5000)]).pipeTo(writer, { preventClose: true });
      } else {
        await writer.write(pattern(5000));
      }
      await eventually(() => engine.counters.inFlight === 0);
    };
    const error = await assertRejects(scope, Error) as DmaError;
    assertEquals(error.code, "ENOSPC");
  }
});

testDirectAndCached(
  "A pipe from a file that keeps its target open tells what fails at its very end",
  async (dir) => {
    const source = await DmaFile.create(dir.file("source"));
    await source.writeAt(source.allocBuffer(512 * 1024), 0);
    const stream = await create(dir, { bufferSize: 64 * 1024, preallocate: false });
    const path = `${Deno.realPathSync(dir.path)}/file`;
    const closing = Promise.withResolvers<void>();
    using _ = interpose("close", ({ pass }) => {
      closing.resolve();
      setTimeout(() => pass(), 30);
    });
    using _1 = interpose("write", ({ operation, completion, pass }) => {
      if (Deno.readLinkSync(`/proc/self/fd/${operation.fd}`) !== path) return pass();
      closing.promise.then(() => completion.complete(-ENOSPC));
    });
    const error = await assertRejects(
      () => source.readable.pipeTo(stream, { preventClose: true }),
      Error,
    ) as DmaError;
    assertEquals(error.code, "ENOSPC");
    await stream[Symbol.asyncDispose]();
  },
);

testDirectAndCached(
  "A failed write whose promise is ignored is reported",
  async (dir) => {
    const reported: unknown[] = [];
    const listener = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      reported.push(event.reason);
    };
    addEventListener("unhandledrejection", listener);
    try {
      const stream = await create(dir, { bufferSize: 4096, writeBehind: 1, preallocate: false });
      using _ = interpose("write", ({ end }) => end(-ENOSPC));
      for (let count = 0; count < 8; count++) stream.write(pattern(5000));
      await eventually(() => reported.length > 0);
      const error = await assertRejects(() => stream.close());
      assertEquals(reported[0], error);
    } finally {
      removeEventListener("unhandledrejection", listener);
    }
  },
);

testDirectAndCached("await using closes the stream", async (dir) => {
  {
    await using stream = await create(dir);
    await stream.write(pattern(5000));
  }
  await assertFile(dir.file("file"), pattern(5000));
  assertEquals(descriptorsOf(dir.file("file")), 0);
});

testDirectAndCached(
  "await using does nothing where the stream was closed or aborted",
  async (dir) => {
    const ends: Record<string, (stream: DmaStreamWriter) => Promise<unknown>> = {
      close: (stream) => stream.close(),
      abort: (stream) => stream.abort("enough"),
      "close of the lock": async (stream) => {
        const writer = stream.getWriter();
        await writer.close();
        writer.releaseLock();
      },
      "abort of the lock": async (stream) => {
        const writer = stream.getWriter();
        await writer.abort("enough");
        writer.releaseLock();
      },
      pipe: (stream) => ReadableStream.from([pattern(5)]).pipeTo(stream),
      "broken pipe": (stream) => {
        const source = new ReadableStream({ start: (control) => control.error("broken") });
        return source.pipeTo(stream).catch(() => {});
      },
      seal: async (stream) => await (await stream.seal()).close(),
    };
    for (const [name, end] of Object.entries(ends)) {
      await using stream = await create(dir);
      await stream.write(pattern(5000));
      await end(stream);
      await stream[Symbol.asyncDispose]();
      assertEquals(descriptorsOf(dir.file("file")), 0, name);
    }
  },
);
