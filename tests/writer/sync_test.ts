// DmaStreamWriter.sync and close: what is made durable, in which order, and that many of them may overlap.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { Errno, RWF_DSYNC } from "../../src/engine/linux.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { hasDirectIo, testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { create } from "./create.ts";

/** What the kernel was asked to do, in the order in which it was done. */
function noteOrder(dir: TestDirectory): Disposable & { readonly order: string[] } {
  const order: string[] = [];
  const directory = Deno.realPathSync(dir.path);
  const target = (fd: number) => {
    const path = Deno.readLinkSync(`/proc/self/fd/${fd}`);
    return path === directory ? "directory" : path.slice(path.lastIndexOf("/") + 1);
  };
  const noted = (["write", "truncate", "sync", "close", "allocate"] as const).map((name) =>
    interpose(name, ({ operation, completion, pass }) => {
      const what = `${name} ${target(operation.fd)}`;
      pass({}, {
        complete: (result: number) => {
          order.push(what);
          completion.complete(result);
        },
      });
    })
  );
  return {
    order,
    [Symbol.dispose]() {
      for (const one of noted.reverse()) one[Symbol.dispose]();
    },
  };
}

// ---- close ----------------------------------------------------------------------------------------------------

testDirectAndCached("close drains, cuts, makes durable, and closes, in this order", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096 });
  using noted = noteOrder(dir);
  await stream.write(pattern(10_001));
  await stream.close();
  const order = noted.order.filter((what) => !what.endsWith("directory"));
  assertEquals(order, [
    "write file",
    "write file",
    "write file",
    "truncate file",
    "sync file",
    "close file",
  ]);
  // A file that this process made: its name is durable too.
  assert(noted.order.includes("sync directory"));
  await assertFile(dir.file("file"), pattern(10_001));
}, { where: hasDirectIo });

testDirectAndCached("close syncs no directory for a file that was there", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(100));
  const stream = new DmaStreamWriter(await DmaFile.open(dir.file("file"), { write: true }));
  using noted = noteOrder(dir);
  await stream.write(pattern(5000));
  await stream.close();
  assert(!noted.order.includes("sync directory"));
  assert(noted.order.includes("sync file"));
});

testDirectAndCached(
  "What was in a file before its writer is synced too, also if nothing is written",
  async (dir) => {
    const ways: Record<string, (writer: DmaStreamWriter) => unknown> = {
      "sync()": (writer) => writer.sync(),
      "sync() of the tail": (writer) => writer.sync({ tail: true }),
      "flushSync()": (writer) => writer.flushSync({ durable: true }),
    };
    for (const [name, sync] of Object.entries(ways)) {
      // Another program may have written it, and been killed before it synced.
      await Deno.writeFile(dir.file("file"), pattern(100));
      await using file = await DmaFile.open(dir.file("file"), { write: true });
      const writer = new DmaStreamWriter(file, { append: true });
      const { syncs } = ioStats();
      await sync(writer);
      assertEquals(ioStats().syncs, syncs + 1, name);
    }
  },
);

testDirectAndCached(
  "Without syncOnClose nothing is synced, and the length is exact",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 4096, syncOnClose: false });
    using noted = noteOrder(dir);
    await stream.write(pattern(10_001));
    await stream.close();
    assertEquals(noted.order.filter((what) => what.startsWith("sync")), []);
    await assertFile(dir.file("file"), pattern(10_001));
  },
);

testDirectAndCached(
  "close after a sync of everything syncs only what changed since",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 4096 });
    await stream.write(pattern(8192));
    await stream.sync();
    using noted = noteOrder(dir);
    await stream.close();
    assertEquals(noted.order.filter((what) => what === "sync file"), []);
  },
);

testDirectAndCached(
  "The first sync makes the name durable too, a later one only bytes",
  async (dir) => {
    const stream = await create(dir, { bufferSize: 4096 });
    await stream.write(pattern(8192));
    {
      using noted = noteOrder(dir);
      await stream.sync();
      assertEquals(noted.order.filter((what) => what === "sync directory").length, 1);
    }
    using noted = noteOrder(dir);
    await stream.write(pattern(8192));
    await stream.sync({ tail: true });
    await stream.close();
    assert(noted.order.includes("sync file"));
    assert(!noted.order.includes("sync directory"), noted.order.join(", "));
  },
);

testDirectAndCached("A writer that synced nothing leaves the name to the next one", async (dir) => {
  const file = await DmaFile.create(dir.file("file"));
  const first = new DmaStreamWriter(file, { syncOnClose: false, closeFile: false });
  await first.write(pattern(10));
  await first.close();
  const second = new DmaStreamWriter(file, { append: true });
  using noted = noteOrder(dir);
  await second.write(pattern(10));
  await second.sync({ tail: true });
  assert(noted.order.includes("sync directory"), noted.order.join(", "));
  await second.close();
});

testDirectAndCached(
  "A directory that cannot be synced fails a close that is under way, too",
  async (dir) => {
    for (const syncOnClose of [true, false]) {
      const stream = await create(dir, { bufferSize: 4096, syncOnClose });
      await stream.write(pattern(4096));
      const directory = Deno.realPathSync(dir.path);
      let failures = 0;
      using _ = interpose("sync", ({ operation, pass, end }) => {
        const path = Deno.readLinkSync(`/proc/self/fd/${operation.fd}`);
        if (path === directory && failures++ === 0) end(-Errno.EIO);
        else pass();
      });
      const [synced, closed] = await Promise.allSettled([stream.sync(), stream.close()]);
      assert(synced.status === "rejected");
      assertStringIncludes(String(synced.reason), "os error 5");
      // Without a sync of its own it may have been over before.
      if (syncOnClose) assertEquals(closed.status, "rejected");
      if (closed.status === "rejected") assertEquals(closed.reason, synced.reason);
      await Deno.remove(dir.file("file"));
    }
  },
);

testDirectAndCached("A file whose name sounds removed has its directory synced", async (dir) => {
  const file = await DmaFile.create(dir.file("it (deleted)"));
  const stream = new DmaStreamWriter(file);
  using noted = noteOrder(dir);
  await stream.write(pattern(10));
  await stream.close();
  assert(noted.order.includes("sync directory"), noted.order.join(", "));
});

// ---- sync -----------------------------------------------------------------------------------------------------

testDirectAndCached("sync waits for the writes before it, and syncs after them", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096, writeBehind: 8 });
  using noted = noteOrder(dir);
  await stream.write(pattern(20_000));
  assertEquals(await stream.sync(), 16_384);
  const order = noted.order.filter((what) => !what.endsWith("directory"));
  assertEquals(order, [...Array(4).fill("write file"), "sync file"]);
  await stream.close();
});

testDirectAndCached("sync with nothing new does nothing", async (dir) => {
  const stream = await create(dir, { bufferSize: 4096 });
  await stream.write(pattern(10_000));
  await stream.sync({ tail: true });
  using noted = noteOrder(dir);
  assertEquals(await stream.sync(), 10_000);
  assertEquals(await stream.sync({ tail: true }), 10_000);
  assertEquals(noted.order, []);
  await stream.close();
});

// ---- one trip ---------------------------------------------------------------------------------------------------

testDirectAndCached(
  "A tail is made durable by its own write, once the rest of the file is",
  async (dir) => {
    const stream = await create(dir);
    await stream.write(pattern(100));
    await stream.sync({ tail: true });
    const flags: number[] = [];
    using writes = interpose("write", ({ operation, pass }) => {
      flags.push(operation.flags);
      pass();
    });
    using syncs = interpose("sync", ({ pass }) => pass());
    await stream.write(pattern(100, 100));
    assertEquals(await stream.sync({ tail: true }), 200);
    assertEquals([flags, syncs.count], [[RWF_DSYNC], 0]);
    // Without somebody who waits for that, a write is a plain one.
    await stream.write(pattern(100, 200));
    await stream.flushAligned({ tail: true });
    assertEquals([flags, syncs.count], [[RWF_DSYNC, 0], 0]);
    // Then there is more to sync than the next write.
    await stream.write(pattern(100, 300));
    assertEquals(await stream.sync({ tail: true }), 400);
    assertEquals([flags, syncs.count], [[RWF_DSYNC, 0, 0], 1]);
    assertEquals(writes.count, 3);
    await stream.close();
    await assertFile(dir.file("file"), pattern(400));
  },
);

testDirectAndCached(
  "A tail is not durable by its write where a file changed meanwhile",
  async (dir) => {
    const stream = await create(dir);
    await stream.write(pattern(100));
    await stream.sync({ tail: true });
    using syncs = interpose("sync", ({ pass }) => pass());
    {
      using _ = interpose("write", ({ pass, completion, index }) => {
        if (index > 0) return pass();
        // Another write of the program ends first.
        pass({}, {
          complete: (result) => {
            const unit = stream.file.alignUp(1);
            stream.file.writeAt(pattern(unit), unit * 8).then(() => completion.complete(result));
          },
        });
      });
      await stream.write(pattern(100, 100));
      await stream.sync({ tail: true });
    }
    assertEquals(syncs.count, 1);
    await stream.close();
  },
);

testDirectAndCached(
  "sync rejects at every moment of an abort, also behind a chunk",
  async (dir) => {
    const reason = new Error("enough");
    const failure = (call: Promise<unknown>) => call.catch((error: unknown) => error);
    const path = dir.file("file");
    await Deno.writeFile(path, pattern(1000));
    for (let microtasks = 0; microtasks < 12; microtasks++) {
      for (const opened of [true, false]) {
        const file = await DmaFile.open(path, { write: true });
        const stream = new DmaStreamWriter(file, {
          position: 500,
          bufferSize: 4096,
          writeBehind: 1,
        });
        const writer = stream.getWriter();
        if (opened) await writer.ready;
        const calls = [failure(writer.write(pattern(opened ? 20_000 : 10)))];
        const aborted = writer.abort(reason);
        for (let at = 0; at < microtasks; at++) await undefined;
        calls.push(failure(writer.write(pattern(10))), failure(stream.sync()));
        assertEquals(await Promise.all(calls), [reason, reason, reason]);
        await aborted;
      }
    }
  },
);

testDirectAndCached("A write and a sync reject at every moment of a failure", async (dir) => {
  const failure = (call: Promise<unknown>) => call.catch((error) => error.code);
  for (let microtasks = 0; microtasks < 12; microtasks++) {
    const fail = Promise.withResolvers<() => void>();
    using _ = interpose("write", ({ completion }) => {
      fail.resolve(() => completion.complete(-Errno.EIO));
    });
    const stream = await create(dir, { bufferSize: 4096, writeBehind: 1, preallocate: false });
    const writer = stream.getWriter();
    writer.closed.catch(() => {});
    await writer.write(pattern(5000));
    (await fail.promise)();
    for (let at = 0; at < microtasks; at++) await undefined;
    const calls = [failure(writer.write(pattern(10))), failure(stream.sync())];
    assertEquals(await Promise.all(calls), ["EIO", "EIO"]);
    assertEquals(await failure(stream.close()), "EIO");
  }
});
