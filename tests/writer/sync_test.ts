// DmaStreamWriter.sync and close: what is made durable, in which order, and that many of them may overlap.

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { Errno, RWF_DSYNC } from "../../src/engine/linux.ts";
import { pattern } from "../support/bytes.ts";
import { hasDirectIo, testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { fail, hold, interpose } from "../support/interpose.ts";
import { noteOrder } from "../support/order.ts";
import { closeWith, create, createOver, small, testWriter } from "./create.ts";

// ---- close ----------------------------------------------------------------------------------------------------

testWriter("close drains, cuts, syncs and closes, in this order", small, async (stream, _, dir) => {
  using noted = noteOrder(dir);
  await stream.write(pattern(10_001));
  await closeWith(stream, pattern(10_001));
  const writes = Array(3).fill("write file");
  assertEquals(noted.ofFile, [...writes, "truncate file", "sync file", "close file"]);
  // A file that this process made: its name is durable too.
  assert(noted.order.includes("sync directory"));
}, { where: hasDirectIo });

/** What a directory is synced for, and what it is not. */
const names: Record<string, (dir: TestDirectory) => Promise<DmaStreamWriter>> = {
  "a new file": (dir) => create(dir),
  "a file whose name sounds removed": (dir) => create(dir, {}, "it (deleted)"),
  "a file whose first writer synced nothing": async (dir) => {
    const first = await create(dir, { syncOnClose: false, closeFile: false });
    await first.write(pattern(10));
    await first.close();
    return new DmaStreamWriter(first.file, { append: true });
  },
  "no file that was there": (dir) => createOver(dir.file("file"), pattern(100)),
  "no file after its first sync": async (dir) => {
    const stream = await create(dir, small);
    await stream.write(pattern(8192));
    using noted = noteOrder(dir);
    await stream.sync();
    assertEquals(noted.order.filter((what) => what === "sync directory").length, 1);
    return stream;
  },
};

for (const [name, make] of Object.entries(names)) {
  testDirectAndCached(`The directory is synced for ${name}`, async (dir) => {
    const stream = await make(dir);
    using noted = noteOrder(dir);
    await stream.write(pattern(8192));
    await stream.sync({ tail: true });
    const bySync = noted.order.includes("sync directory");
    await stream.close();
    const synced = noted.order.includes("sync directory");
    assertEquals([bySync, synced], Array(2).fill(!name.startsWith("no")));
    assert(noted.order.includes("sync file"));
  });
}

const unsynced = { ...small, syncOnClose: false };

testWriter("Without syncOnClose nothing is synced", unsynced, async (stream, _, dir) => {
  using noted = noteOrder(dir);
  await stream.write(pattern(10_001));
  await closeWith(stream, pattern(10_001));
  assertEquals(noted.order.filter((what) => what.startsWith("sync")), []);
});

testWriter("close after a sync of everything syncs nothing", small, async (stream, _, dir) => {
  await stream.write(pattern(8192));
  await stream.sync();
  using noted = noteOrder(dir);
  await stream.close();
  assertEquals(noted.ofFile.filter((what) => what === "sync file"), []);
});

testDirectAndCached("A directory that cannot be synced fails a close, too", async (dir) => {
  for (const syncOnClose of [true, false]) {
    const stream = await create(dir, { ...small, syncOnClose });
    await stream.write(pattern(4096));
    let failures = 0;
    const isDirectory = (fd: number) => Deno.statSync(`/proc/self/fd/${fd}`).isDirectory;
    using _ = fail("sync", Errno.EIO, ({ fd }) => isDirectory(fd) && failures++ === 0);
    const [synced, closed] = await Promise.allSettled([stream.sync(), stream.close()]);
    assert(synced.status === "rejected");
    assertStringIncludes(String(synced.reason), "os error 5");
    // Without a sync of its own it may have been over before.
    if (syncOnClose) assertEquals(closed.status, "rejected");
    if (closed.status === "rejected") assertEquals(closed.reason, synced.reason);
    await Deno.remove(dir.file("file"));
  }
});

testDirectAndCached(
  "A directory that could not be synced fails all new files in it",
  async (dir) => {
    const isDirectory = (fd: number) => Deno.statSync(`/proc/self/fd/${fd}`).isDirectory;
    const writers = await Promise.all(["1", "2", "3"].map((name) => create(dir, {}, name)));
    const atomic = await DmaFile.create(dir.file("atomic"), { atomic: true });
    {
      using _ = fail("sync", Errno.EIO, ({ fd }) => isDirectory(fd));
      await assertRejects(() => writers[0]!.close(), Error, "(os error 5): sync");
    }
    // Another sync succeeds, though the kernel has thrown these names away.
    await assertRejects(() => writers[1]!.close(), Error, `(os error 5): sync '${dir.file("2")}'`);
    assertThrows(() => writers[2]!.flushSync({ durable: true }), Error, "(os error 5): sync");
    await assertRejects(() => writers[2]!.close(), Error, "(os error 5): sync");
    // What is named afterwards is not among them.
    await atomic.close();
    await (await create(dir, {}, "4")).close();
  },
);

/** Ways to give a file the name "new", with the operation that does. */
const namings: Record<string, ["open" | "rename" | "link", (path: string) => Promise<DmaFile>]> = {
  "is created": ["open", (path) => DmaFile.create(path)],
  "is renamed": ["rename", async (path) => {
    const file = await DmaFile.create(`${path}.old`);
    await file.rename(path);
    return file;
  }],
  "is published": ["link", async (path) => {
    const file = await DmaFile.create(path, { atomic: true });
    await file.close();
    return file;
  }],
};

for (const [name, [op, give]] of Object.entries(namings)) {
  testDirectAndCached(`A file that ${name} while its directory cannot be synced fails`, async (dir) => {
    const isNew = (operation: object) => Object.values(operation).includes("new");
    const isDirectory = (fd: number) => Deno.statSync(`/proc/self/fd/${fd}`).isDirectory;
    const other = await create(dir, {}, "other");
    using named = hold(op, { only: isNew, results: true });
    const giving = give(dir.file("new"));
    giving.catch(() => {});
    await named.reach();
    {
      using _ = fail("sync", Errno.EIO, ({ fd }) => isDirectory(fd));
      await assertRejects(() => other.close(), Error, "(os error 5): sync");
    }
    named.letGo();
    const closed = giving.then((file) => new DmaStreamWriter(file).close());
    await assertRejects(() => closed, Error, "(os error 5): sync");
  });
}

// ---- sync -----------------------------------------------------------------------------------------------------

testWriter("sync with nothing new does nothing", small, async (stream, _, dir) => {
  await stream.write(pattern(10_000));
  await stream.sync({ tail: true });
  using noted = noteOrder(dir);
  assertEquals(await stream.sync(), 10_000);
  assertEquals(await stream.sync({ tail: true }), 10_000);
  assertEquals(noted.order, []);
  await stream.close();
});

/** Ways to sync when nothing is written. */
const syncs: Record<string, (writer: DmaStreamWriter) => unknown> = {
  "sync()": (writer) => writer.sync(),
  "sync() of the tail": (writer) => writer.sync({ tail: true }),
  "flushSync()": (writer) => writer.flushSync({ durable: true }),
};

for (const [name, sync] of Object.entries(syncs)) {
  testDirectAndCached(`${name} makes durable what was there before`, async (dir) => {
    // Another program may have written it, and been killed before it synced.
    const writer = await createOver(dir.file("file"), pattern(100), { append: true });
    const before = ioStats().syncs;
    await sync(writer);
    assertEquals(ioStats().syncs, before + 1);
    await writer.close();
  });
}

// ---- one trip ---------------------------------------------------------------------------------------------------

/** Notes the flags of each write and counts the syncs, from now on. With `refuses` no write is durable by itself. */
function noteTrips(refuses = false) {
  const flags: number[] = [];
  const writes = interpose("write", ({ operation, pass, end }) => {
    flags.push(operation.flags);
    if (refuses && operation.flags & RWF_DSYNC) end(-Errno.EOPNOTSUPP);
    else pass();
  });
  const syncs = interpose("sync", ({ pass }) => pass());
  const dispose = () => [syncs, writes].forEach((each) => each[Symbol.dispose]());
  return { seen: () => [flags, syncs.count], [Symbol.dispose]: dispose };
}

testWriter("A tail is made durable by its own write, once the rest is", {}, async (stream) => {
  await stream.write(pattern(100));
  await stream.sync({ tail: true });
  using trips = noteTrips();
  await stream.write(pattern(100, 100));
  assertEquals(await stream.sync({ tail: true }), 200);
  assertEquals(trips.seen(), [[RWF_DSYNC], 0]);
  // Without somebody who waits for that, a write is a plain one.
  await stream.write(pattern(100, 200));
  await stream.flushAligned({ tail: true });
  assertEquals(trips.seen(), [[RWF_DSYNC, 0], 0]);
  // Then there is more to sync than the next write.
  await stream.write(pattern(100, 300));
  assertEquals(await stream.sync({ tail: true }), 400);
  assertEquals(trips.seen(), [[RWF_DSYNC, 0, 0], 1]);
  await closeWith(stream, pattern(400));
});

testWriter("Where no write is durable by itself a sync follows it", {}, async (stream) => {
  await stream.write(pattern(100));
  await stream.sync({ tail: true });
  using trips = noteTrips(true);
  for (const length of [100, 200]) {
    await stream.write(pattern(100, length));
    assertEquals(await stream.sync({ tail: true }), length + 100);
  }
  assertEquals(trips.seen(), [[RWF_DSYNC, 0, 0], 2]);
  await closeWith(stream, pattern(300));
});

testWriter("A tail is not durable by itself if the file changed", {}, async (stream) => {
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
});
