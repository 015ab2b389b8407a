// A DmaStreamWriter that fails, is aborted, or whose file is closed: the first failure is final, the file is cut to what is
// whole, and nothing is left over.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { assertSticky } from "../faults/failed_writer.ts";
import { pause } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { fail, hold } from "../support/interpose.ts";
import { assertClosed, create, createOver, narrow, small, testWriter } from "./create.ts";

/** Throws unless every call rejects with this very error, and nothing is held any more. */
async function assertDead(stream: DmaStreamWriter, error: unknown): Promise<void> {
  await assertSticky(stream, error);
  await stream.abort();
  const { blocks } = engine.pool;
  const { inFlight } = engine.counters;
  const descriptors = descriptorsOf(stream.file.path);
  assertEquals({ blocks, descriptors, inFlight }, { blocks: 0, descriptors: 0, inFlight: 0 });
}

// ---- failures -------------------------------------------------------------------------------------------------

testDirectAndCached("A failed sync is final, and is not tried again", async (dir) => {
  // A file that was there: nothing but its own sync is asked for.
  const stream = await createOver(dir.file("file"), new Uint8Array(0), { bufferSize: 4096 });
  await stream.write(pattern(10_000));
  let error: unknown;
  {
    using syncs = fail("sync", Errno.EIO);
    error = await assertRejects(() => stream.sync(), Error, "(os error 5): sync");
    await assertRejects(() => stream.close());
    assertEquals(syncs.count, 1);
  }
  await assertDead(stream, error);
  await assertFile(dir.file("file"), pattern(8192));
});

testWriter("A file that cannot be closed has close reject", {}, async (stream) => {
  await stream.write(pattern(10_000));
  {
    using _ = fail("close", Errno.EIO);
    await assertRejects(() => stream.close(), Error, "(os error 5): close");
  }
  await assertClosed(stream, pattern(10_000));
});

// ---- abort ----------------------------------------------------------------------------------------------------

testWriter("abort stops a chunk that is being written, however large", narrow, async (stream) => {
  const writer = stream.getWriter();
  writer.closed.catch(() => {});
  const written = assertRejects(() => writer.write(new Uint8Array(200 << 20)));
  await pause(5);
  const started = performance.now();
  await writer.abort("enough");
  assert(performance.now() - started < 1000);
  assertEquals(await written, "enough");
  await assertClosed(stream, new Uint8Array(stream.currentFlushedPos));
});

testDirectAndCached("abort without a reason, twice, and after close", async (dir) => {
  const stream = await create(dir);
  await stream.write(pattern(5));
  await Promise.all([stream.abort(), stream.abort()]);
  await stream.abort("again");
  assertEquals(await stream.write(pattern(5)).catch(() => "rejected"), "rejected");
  const closed = await create(dir);
  await closed.write(pattern(5));
  await closed.close();
  await closed.abort();
  await assertClosed(closed, pattern(5));
});

testWriter("abort before the last chunk is taken wins over close", narrow, async (stream) => {
  // Who is told that nothing is left may write the file anew.
  const reasonOf = (work: Promise<void>) =>
    work.catch((reason) => [reason, descriptorsOf(stream.file.path)]);
  const ends = [reasonOf(stream.write(pattern(200_001))), reasonOf(stream.close())];
  await stream.abort("enough");
  assertEquals(await Promise.all(ends), [["enough", 0], ["enough", 0]]);
  await assertClosed(stream, pattern(stream.currentFlushedPos));
});

const hinted = { bufferSize: 4096, sizeHint: 1_000_000 };

testWriter("An abort whose cut fails rejects, and closes", hinted, async (stream, path) => {
  await stream.write(pattern(10_000));
  await stream.flushAligned();
  using _ = fail("truncate", Errno.EIO);
  await assertRejects(() => stream.abort(), Error, "(os error 5): truncate");
  assertEquals(descriptorsOf(path), 0);
  // On btrfs nothing is reserved.
}, { where: ({ fileSystem }) => fileSystem !== "btrfs" });

// ---- the file closed under it ---------------------------------------------------------------------------------

testDirectAndCached("file.close under a writer gives the writer up", async (dir) => {
  for (const options of [hinted, { bufferSize: 4096, closeFile: false }]) {
    const stream = await create(dir, options);
    await stream.write(pattern(10_001));
    const flushed = await stream.flushAligned();
    await stream.file.close();
    await assertClosed(stream, pattern(flushed));
    const error = await assertRejects(() => stream.write(pattern(1)), Deno.errors.BadResource);
    await assertDead(stream, error);
  }
});

testDirectAndCached("file.close gives up a writer that is made meanwhile too", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  const first = new DmaStreamWriter(file, { closeFile: false });
  await first.write(pattern(5000));
  let second: DmaStreamWriter | undefined;
  const again = first.closed.catch(() => {
    second = new DmaStreamWriter(file);
    return second.closed;
  });
  await file.close();
  assert(second, "the file is not closed before the first writer has ended");
  await assertRejects(() => again, Deno.errors.BadResource, "the file is closed");
});

testDirectAndCached("file.close lets a writer finish whose close was asked for", async (dir) => {
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

testInOneDirectory("A chunk after close() does not change why the close fails", async (dir) => {
  const lock = (await create(dir)).getWriter();
  lock.write(pattern(5000));
  using _ = fail("sync", Errno.EIO);
  const closed = assertRejects(() => lock.closed, Error, "os error 5");
  const closing = assertRejects(() => lock.close(), Error, "os error 5");
  for (let index = 0; index < 10; index++) {
    await assertRejects(() => lock.write(pattern(10)), TypeError);
  }
  await Promise.all([closed, closing]);
});

testInOneDirectory(
  "A writer that a pipe has closed takes no chunk, and keeps none",
  async (dir) => {
    const writer = await create(dir);
    await ReadableStream.from([pattern(10)]).pipeTo(writer);
    await assertRejects(() => writer.write(pattern(5)), TypeError, "closed");
    const lock = writer.getWriter();
    await assertRejects(() => lock.write(pattern(5)), TypeError, "closed");
    assertEquals([writer.currentPos, writer.nextPos], [10, 10]);
  },
);

testInOneDirectory("A chunk that waits rejects with the failure before an abort", async (dir) => {
  const writer = await create(dir, small);
  using _failing = fail("write", Errno.EIO, ({ position }) => position > 0);
  using held = hold("write", { only: ({ position }) => position === 0 });
  writer.write(pattern(100_000)).catch(() => {});
  const rejected = assertRejects(() => writer.write(pattern(10)), Error, "Input/output error");
  await held.reach();
  await pause(20);
  const source = ReadableStream.from([pattern(10)]);
  const piped = source.pipeTo(writer, { signal: AbortSignal.abort("a reason") }).catch(() => {});
  held.letGo();
  await Promise.all([rejected, piped]);
});
