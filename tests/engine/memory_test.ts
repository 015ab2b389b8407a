// The memory of I/O buffers is bounded and shared, and given back. It may be lacking, as may descriptors.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "../../mod.ts";
import { allOf, assertFile, MIB, namesIn, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { eventually } from "../setup/command.ts";
import { testDirectAndCached, type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engine, interpose, replaceMethod } from "../support/engine.ts";
import { descriptorsIn, descriptorsOf } from "../support/leaks.ts";
import { assertNoLeak, collectGarbage, takeStock, untilCollected } from "../support/leaks.ts";
import { create } from "../writer/create.ts";

/** The memory that a pool may keep for reuse. */
const KEPT = 32 * MIB;

testInOneDirectory("1,500 small files one after the other leave nothing", async (dir) => {
  const write = async (count: number) => {
    for (let index = 0; index < count; index++) {
      const writer = new DmaStreamWriter(await DmaFile.create(dir.file(`small ${index % 50}`)));
      await writer.write(pattern(1000 + index % 7));
      await writer.close();
    }
    await collectGarbage();
  };
  // Code is compiled, pools are filled and caches grow in the beginning.
  await write(300);
  const [before, heap, { mapped }] = [takeStock(), Deno.memoryUsage().heapUsed, engine.pool];
  await write(1500);
  // 1 MiB over 1,500 files is 700 bytes a file. A leaked writer holds 5 KiB, with its stream and its promises. Leaked
  // buffers would show in resident memory, of which V8's own share grows by some 12 MiB meanwhile.
  await untilCollected(() => Deno.memoryUsage().heapUsed < heap + MIB);
  assertNoLeak(before, takeStock(), { resident: 24 * MIB, mappings: 16 });
  const { counters: { inFlight }, pool } = engine;
  assertEquals([inFlight, pool.blocks, pool.used, descriptorsIn(dir.path)], [0, 0, 0, 0]);
  assert(pool.mapped <= Math.max(mapped, KEPT), `The pool has ${pool.mapped} bytes`);
});

testInOneDirectory("The memory of a large file is given back when it is closed", async (dir) => {
  const writer = await create(dir, { bufferSize: 8 * MIB, writeBehind: 15, syncOnClose: false });
  const chunk = pattern(4 * MIB);
  for (let index = 0; index < 64; index++) await writer.write(chunk);
  await writer.close();
  assertEquals(engine.pool.used, 0);
  // Some memory is kept for the next file.
  assert(engine.pool.mapped <= 2 * KEPT, `${engine.pool.mapped} bytes are kept`);
});

testInOneDirectory("Writes of many lengths share their memory", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const before = ioStats();
  const writes = Array.from({ length: 200 }, (_, index) => {
    return file.writeAt(new Uint8Array(file.alignUp((index + 1) * 5000)), index * MIB);
  });
  const { poolBytes, poolBytesUsed } = ioStats();
  const used = poolBytesUsed - before.poolBytesUsed;
  const mapped = poolBytes - before.poolBytes;
  assert(used > 60 * MIB && mapped < 2.5 * used, `${mapped} bytes mapped for ${used}`);
  await Promise.all(writes);
});

/** Refuses memory for all buffers, or only for the one with this index. `wasReached` tells whether there was one. */
function withoutMemory(only?: number): Disposable & { wasReached: () => boolean } {
  let index = 0;
  const replaced = replaceMethod("acquire", (size) => {
    if (only !== undefined && index++ !== only) return engine.pool.acquire(size);
    throw new RangeError("Cannot map memory");
  });
  return { ...replaced, wasReached: () => index > only! };
}

/** Refuses the descriptor with this index. */
function withoutDescriptor(only: number): Disposable & { wasReached: () => boolean } {
  const EMFILE = 24;
  let index = 0;
  const isRefused = () => index++ === only;
  const { runNow } = engine;
  const replaced = new DisposableStack();
  replaced.use(interpose("open", ({ pass, end }) => isRefused() ? end(-EMFILE) : pass()));
  replaced.use(replaceMethod("runNow", (operation) => {
    return operation.op === "open" && isRefused() ? -EMFILE : runNow.call(engine, operation);
  }));
  return { [Symbol.dispose]: () => replaced.dispose(), wasReached: () => index > only };
}

async function assertFails(call: () => Promise<unknown>): Promise<void> {
  await assertRejects(call, RangeError, "Cannot map memory");
}

/** Throws unless no file of the directory and no block is in use, now or when a close is over. */
async function assertFreed(dir: TestDirectory): Promise<void> {
  await eventually(() => descriptorsIn(dir.path) === 0 && engine.pool.blocks === 0);
}

testDirectAndCached("A tail takes no memory, and bytes after it fail without any", async (dir) => {
  const writer = await create(dir);
  await writer.write(pattern(5000));
  // The name takes memory.
  await writer.sync();
  {
    using _ = withoutMemory();
    assertEquals(await writer.sync({ tail: true }), 5000);
    await assertFails(() => writer.write(pattern(10)));
  }
  await assertFails(() => writer.write(pattern(10)));
  await assertFails(() => writer.sync({ tail: true }));
  await writer.abort();
  await assertFile(dir.file("file"), pattern(5000));
});

testInOneDirectory("No piece of a write begins after one without memory", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  // The first buffer is for the file's length.
  using _ = withoutMemory(1);
  await assertFails(() => file.writeAt(pattern(8 * MIB), 0));
  await assertFile(file.path, pattern(0));
});

testDirectAndCached("A reader reads all with one buffer, and fails without", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(300_000));
  const open = () => DmaFile.open(dir.file("file"));
  const streams = [await open(), await open()].map((file) => new DmaStreamReader(file));
  let most = 1.5 * MIB;
  using _ = replaceMethod("acquire", (size) => {
    if (engine.pool.used + size > most) throw new RangeError("Cannot map memory");
    return engine.pool.acquire(size);
  });
  assertEquals(await allOf(streams[0]!), pattern(300_000));
  most = 0;
  await assertFails(() => allOf(streams[1]!));
});

testDirectAndCached("A directory that memory was refused for is opened later", async (dir) => {
  for (const isServed of [false, true]) {
    for (let only = 0, isDone = false; !isDone; only++) {
      const folder = dir.file(`${isServed}${only}`);
      await Deno.mkdir(folder);
      await Deno.writeTextFile(`${folder}/old`, "");
      await using _holder = await DmaFile.open(`${folder}/old`);
      // For a served directory the descriptor for syncs is opened on a thread.
      using _ = isServed ? replaceMethod("deviceOf", () => undefined) : undefined;
      {
        using refused = withoutMemory(only);
        await DmaFile.create(`${folder}/first`).then((file) => file.close(), () => {});
        isDone = !refused.wasReached();
      }
      await (await DmaFile.create(`${folder}/second`)).close();
    }
  }
});

testDirectAndCached("Calls beside a chunk without memory fail with it", async (dir) => {
  const writer = await create(dir);
  {
    using _ = withoutMemory();
    const calls = [writer.write(pattern(10)), writer.sync({ tail: true }), writer.close()];
    await Promise.all(calls.map((call) => assertFails(() => call)));
  }
  assertEquals([writer.currentPos, writer.nextPos], [0, 0]);
  await assertFreed(dir);
});

/** Uses of the file "old", which has 10,000 bytes, and of the names "new" and "link". */
const uses: Record<string, (old: string, path: string, link: string) => Promise<void>> = {
  "A created file": async (_, path) => {
    await using file = await DmaFile.create(path);
    await file.writeAt(file.allocBuffer(1), 0);
    await file.sync();
    await (await DmaFile.open(path, { write: true, create: true })).close();
  },
  "A file created through a link": async (_, path, link) => {
    await Deno.symlink(path, link);
    await using file = await DmaFile.open(link, { write: true, create: true });
    await file.truncate(5000);
  },
  "An atomic file at a link into /proc": async (_old, _path, link) => {
    await Deno.symlink("/proc/self/exe", link);
    await DmaFile.create(link, { atomic: true }).then((file) => file.close(), (error) => {
      // That is the control.
      if (error.code !== "EOPNOTSUPP") throw error;
    });
    assert(!(await Deno.lstat(link)).isFile);
  },
  "An atomic file": async (old, path) => {
    await using file = await DmaFile.create(old, { atomic: true });
    await file.writeAt(file.allocBuffer(1), 0);
    await file.rename(path);
  },
  "A copied file": async (old, path) => {
    await using from = await DmaFile.open(old);
    await using to = await DmaFile.create(path);
    await from.copyRangeTo(to, 1, 5000, 3);
    await from.rename(path);
    await from.remove();
  },
  "A writer": async (old) => {
    const file = await DmaFile.open(old, { write: true });
    const writer = new DmaStreamWriter(file, { position: 100, bufferSize: 4096 });
    await writer.write(pattern(5000));
    writer.flushSync({ durable: true });
    await writer.close();
  },
  "A reader": async (old) => {
    const stream = new DmaStreamReader(await DmaFile.open(old), { bufferSize: 4096 });
    assertEquals((await allOf(stream)).length, 10_000);
  },
  "A pipe": async (old, path) => {
    const options = { bufferSize: 4096, readAhead: 0 };
    await using writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: 4096 });
    await new DmaStreamReader(await DmaFile.open(old), options).pipeTo(writer);
  },
};

testDirectAndCached("A moved file whose directory cannot be opened is not durable", async (dir) => {
  const writer = await create(dir);
  await Deno.mkdir(dir.file("other"));
  await Deno.rename(dir.file("file"), dir.file("other/file"));
  using _ = withoutDescriptor(0);
  const message = `Too many open files (os error 24): open '${writer.file.path}'`;
  await assertRejects(() => writer.close(), Error, message);
});

Deno.test("Without memory for its path the working directory is closed again", async () => {
  const before = descriptorsOf(Deno.cwd());
  for (let place = 0, isReached = true; isReached; place++) {
    using lack = withoutMemory(place);
    // It is looked up because of this name.
    await assertRejects(() => DmaFile.open("dev/none"));
    isReached = lack.wasReached();
    assertEquals(descriptorsOf(Deno.cwd()), before);
  }
});

Deno.test("A first file opens in a program that has little memory", async () => {
  const { output } = await runChild(`globalThis.Uint8Array = class extends Uint8Array {
      constructor(first, ...others) {
        if (first > 1 << 20) throw new RangeError("Array buffer allocation failed");
        super(first, ...others);
      }
    };
    report(() => dma.DmaFile.temp().then((file) => file.close()));`);
  assertEquals(output, "ok undefined");
});

/** What may be lacking, and the errors. */
const lacks = { memory: withoutMemory, "a descriptor": withoutDescriptor };
const LACK = /^Cannot map memory$|^Too many open files/;

for (const [name, use] of Object.entries(uses)) {
  for (const [what, without] of Object.entries(lacks)) {
    testDirectAndCached(`${name} without ${what} at any one place leaves nothing`, async (dir) => {
      await Deno.chmod(dir.path, 0o1777);
      for (let place = 0, isReached = true; isReached; place++) {
        await Deno.writeFile(dir.file("old"), pattern(10_000));
        using lack = without(place);
        await use(dir.file("old"), dir.file("new"), dir.file("link")).catch((error) => {
          assertMatch(error.message, LACK);
        });
        isReached = lack.wasReached();
        await assertFreed(dir);
        const left = await namesIn(dir.path);
        assertEquals(left.filter((name) => name.startsWith(".")), []);
        await Promise.all(left.map((name) => Deno.remove(dir.file(name))));
      }
    });
  }
}
