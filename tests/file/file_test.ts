// DmaFile's life besides reading and writing: length, space, name, durability, closing.

import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { type DmaError, DmaFile } from "../../mod.ts";
import type { Completion } from "../../src/engine/operation.ts";
import { runOrThrow } from "../setup/command.ts";
import { assertFile, assertNoFile, filled, joined, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf, eventually } from "../support/descriptors.ts";
import { testInEachDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { hold, interpose } from "../support/interpose.ts";
import { collectGarbage } from "../support/leaks.ts";
import { openPattern } from "../support/patterned.ts";

const open = (path: string, length: number) => openPattern(path, length, { write: true });

// ---- length and space -----------------------------------------------------------------------------------------

testInEachDirectory("size follows the file, also when another program changes it", async (dir) => {
  await using file = await open(dir.file("size"), 12_345);
  assertEquals(await file.size(), 12_345);
  await Deno.truncate(dir.file("size"), 5);
  assertEquals(await file.size(), 5);
  await Deno.truncate(dir.file("size"), 6 * 2 ** 32);
  assertEquals(await file.size(), 6 * 2 ** 32);
});

testInEachDirectory("stat gives what Deno.stat gives", async (dir) => {
  const path = dir.file("stat");
  await using file = await open(path, 12_345);
  await Deno.utime(path, new Date(1_234_567_890_123), new Date(1_500_000_000_987));
  const [ours, theirs] = [await file.stat(), await Deno.stat(path)];
  // Deno.stat leaves out what follows the second.
  ours.ctime?.setMilliseconds(0);
  for (const name of Object.keys(theirs) as (keyof Deno.FileInfo)[]) {
    assertEquals(ours[name], theirs[name], name);
  }
  assertEquals(Object.keys(ours).sort(), Object.keys(theirs).sort());
});

testInEachDirectory("stat of a file of an old date gives it", async (dir) => {
  const path = dir.file("old");
  await using file = await open(path, 1);
  // Deno 2.8 can neither set nor read such a date.
  await runOrThrow("touch", ["-d", "@-86400.5", path]);
  assertEquals((await file.stat()).mtime, new Date(-86_400_500));
});

testInEachDirectory("truncate cuts and extends by zeros", async (dir) => {
  const path = dir.file("cut");
  const file = await open(path, 10_000);
  await file.truncate(5001);
  await assertFile(path, pattern(5001));
  await file.truncate(9000);
  await assertFile(path, joined(pattern(5001), new Uint8Array(3999)));
  assertEquals(await file.readAt(4999, 5000), joined(pattern(2, 4999), new Uint8Array(3999)));
  await file.truncate();
  assertEquals(await file.size(), 0);
  await file.close();
  await assertFile(path, new Uint8Array());
});

testInEachDirectory("preallocate reserves, and lengthens by zeros", async (dir) => {
  const path = dir.file("reserved");
  const file = await open(path, 5000);
  await file.preallocate(1 << 20);
  assertEquals(await file.size(), 1 << 20);
  assert((await file.stat()).blocks! * 512 >= 1 << 20);
  await assertFile(path, joined(pattern(5000), new Uint8Array((1 << 20) - 5000)));
  // Less than there is changes nothing.
  await file.preallocate(100);
  assertEquals(await file.size(), 1 << 20);
  await assertRejects(() => file.preallocate(0), RangeError, "length");
  await file.close();
});

testInEachDirectory("preallocate with keepSize leaves the length", async (dir) => {
  const path = dir.file("kept");
  const file = await open(path, 5000);
  await file.preallocate(1 << 20, { keepSize: true });
  assertEquals(await file.size(), 5000);
  assert((await file.stat()).blocks! * 512 >= 1 << 20);
  await file.writeAt(filled(4096, 5), 8192);
  await file.close();
  await assertFile(path, joined(pattern(5000), new Uint8Array(3192), filled(4096, 5)));
});

testInEachDirectory("deallocate punches a hole and keeps the length", async (dir) => {
  const path = dir.file("holed");
  const file = await open(path, 1 << 20);
  await file.sync();
  const before = (await file.stat()).blocks!;
  await file.deallocate(65_536, 524_288);
  assertEquals(await file.size(), 1 << 20);
  const expected = pattern(1 << 20).fill(0, 65_536, 65_536 + 524_288);
  assertEquals(await file.readAt(0, 1 << 20), expected);
  await file.sync();
  await eventually(async () => (await file.stat()).blocks! <= before - 1024);
  // Any byte: what is left of a block is zeroed.
  await file.deallocate(100, 200);
  await file.deallocate(2 ** 30, 4096);
  assertEquals(await file.size(), 1 << 20);
  await assertRejects(() => file.deallocate(0, 0), RangeError, "length");
  await assertRejects(() => file.deallocate(2 ** 53 - 1, 5), RangeError, "position + length");
  await file.close();
  await assertFile(path, expected.fill(0, 100, 300));
});

testInEachDirectory("sync and syncData resolve, and ask the kernel", async (dir) => {
  await using file = await open(dir.file("synced"), 5000);
  const kinds: boolean[] = [];
  using _ = interpose("sync", ({ operation: { dataOnly }, pass }) => {
    kinds.push(dataOnly);
    pass();
  });
  await file.sync();
  await file.syncData();
  assertEquals(kinds, [false, true]);
});

testInEachDirectory(
  "Syncs at once take turns, and those that wait share the next one",
  async (dir) => {
    await using file = await open(dir.file("unsynced"), 5000);
    const held: { dataOnly: boolean; completion: Completion }[] = [];
    using _ = interpose("sync", ({ operation: { dataOnly }, completion }) => {
      held.push({ dataOnly, completion });
    });
    const syncs = [file.syncData(), file.syncData(), file.sync()];
    await eventually(() => held.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 0));
    assertEquals(held.map(({ dataOnly }) => dataOnly), [true]);
    held[0]!.completion.complete(0);
    await syncs[0];
    assertEquals(held.map(({ dataOnly }) => dataOnly), [true, false]);
    held[1]!.completion.complete(0);
    await Promise.all(syncs);
  },
);

testInEachDirectory("A sync that fails rejects those that wait for it too", async (dir) => {
  await using file = await open(dir.file("unsynced"), 5000);
  const held: Completion[] = [];
  using _ = interpose("sync", ({ completion }) => held.push(completion));
  const syncs = [file.sync(), file.syncData()].map((sync) => sync.then(() => "synced", String));
  await eventually(() => held.length === 1);
  held[0]!.complete(-5);
  await eventually(() => held.length === 2);
  // The kernel tells of a failure once.
  held[1]!.complete(0);
  for (const outcome of await Promise.all(syncs)) assertStringIncludes(outcome, "(os error 5)");
});

testInEachDirectory("A sync that fails rejects", async (dir) => {
  await using file = await open(dir.file("unsynced"), 5000);
  using _ = interpose("sync", ({ end }) => end(-5));
  await assertRejects(() => file.sync(), Error, "Input/output error (os error 5): sync");
  await assertRejects(() => file.syncData(), Error, "Input/output error (os error 5): sync");
});

// ---- the name -------------------------------------------------------------------------------------------------

testInEachDirectory(
  "close waits for a rename and a removal that were begun before",
  async (dir) => {
    const file = await open(dir.file("old"), 5000);
    const renamed = file.rename(dir.file("new"));
    await file.close();
    await renamed;
    assertEquals(await namesIn(dir.path), ["new"]);
    const again = await DmaFile.open(dir.file("new"));
    const removed = again.remove();
    await again.close();
    await removed;
    assertEquals(await namesIn(dir.path), []);
  },
);

testInEachDirectory("rename moves the file, and its path with it", async (dir) => {
  const file = await open(dir.file("old"), 5000);
  await file.rename(dir.file("new"));
  assertEquals(file.path, dir.file("new"));
  assertEquals(await namesIn(dir.path), ["new"]);
  await file.rename(new URL(`file://${dir.path}/third`));
  assertEquals(file.path, dir.file("third"));
  await file.writeAt(filled(4096, 1), 0);
  await file.close();
  await assertFile(dir.file("third"), joined(filled(4096, 1), pattern(904, 4096)));
});

testInEachDirectory("rename fails with Deno's own error, and the path stays", async (dir) => {
  await Deno.mkdir(dir.file("directory"));
  await using file = await open(dir.file("file"), 5000);
  for (const target of [dir.file("directory"), dir.file("missing/x")]) {
    const ours = await assertRejects(() => file.rename(target), Error) as DmaError;
    const theirs = await assertRejects(() => Deno.rename(dir.file("file"), target), Error);
    assertStrictEquals(ours.constructor, theirs.constructor);
    assertEquals(ours.message, theirs.message);
    assertEquals(ours.op, "rename");
    assertEquals(ours.path, dir.file("file"));
    assertEquals(file.path, dir.file("file"));
  }
  await assertRejects(() => file.rename(""), Deno.errors.NotFound);
  assertEquals(await namesIn(dir.path), ["directory", "file"]);
});

testInEachDirectory("remove takes the name, and the file stays usable", async (dir) => {
  const path = dir.file("removed");
  const file = await open(path, 5000);
  await file.remove();
  await assertNoFile(path);
  await file.writeAt(filled(4096, 3), 8192);
  assertEquals(
    await file.readAt(4000, 5000),
    joined(pattern(1000, 4000), new Uint8Array(3192), filled(808, 3)),
  );
  assertEquals(await file.size(), 12_288);
  const facts = await file.stat();
  assertEquals(facts.nlink, 0);
  await file.sync();
  // A name that is there by now is somebody else's.
  await Deno.writeFile(path, pattern(10));
  await file.close();
  await assertFile(path, pattern(10));
});

testInEachDirectory("isSameFile compares files and not names", async (dir) => {
  await using first = await open(dir.file("first"), 10);
  await using second = await DmaFile.open(dir.file("first"));
  await Deno.link(dir.file("first"), dir.file("link"));
  await using third = await DmaFile.open(dir.file("link"));
  await using other = await open(dir.file("other"), 10);
  assert(first.isSameFile(first));
  assert(first.isSameFile(second) && second.isSameFile(first));
  assert(first.isSameFile(third));
  assertFalse(first.isSameFile(other));
});

// ---- files without a name -------------------------------------------------------------------------------------

testInEachDirectory("DmaFile.temp has no name, and is gone when closed", async (dir) => {
  const file = await DmaFile.temp({ dir: dir.path });
  assertEquals(await namesIn(dir.path), []);
  await file.writeAt(pattern(8192), 4096);
  assertEquals(await file.readAt(4000, 5000), joined(new Uint8Array(96), pattern(4904)));
  const facts = await file.stat();
  assertEquals(facts.nlink, 0);
  assertEquals(facts.mode! & 0o777, 0o600);
  assertEquals(descriptorsIn(dir.path), 1);
  await file.close();
  assertEquals(descriptorsIn(dir.path), 0);
  assertEquals(await namesIn(dir.path), []);
});

testInEachDirectory("DmaFile.temp gives each its own file", async (dir) => {
  await using first = await DmaFile.temp({ dir: dir.path });
  await using second = await DmaFile.temp({ dir: new URL(`file://${dir.path}`) });
  assertFalse(first.isSameFile(second));
  assertNotEquals((await first.stat()).ino, (await second.stat()).ino);
});

testInEachDirectory(
  "DmaFile.temp leaves its directory unchanged by rename and remove",
  async (dir) => {
    await Deno.mkdir(dir.file("holder"));
    await using file = await DmaFile.temp({ dir: dir.file("holder") });
    await assertRejects(() => file.rename(dir.file("moved")), Deno.errors.NotFound);
    await assertRejects(() => file.remove(), Deno.errors.NotFound);
    assertEquals(await namesIn(dir.path), ["holder"]);
  },
);

testInEachDirectory("DmaFile.temp fails without a directory", async (dir) => {
  await assertRejects(() => DmaFile.temp({ dir: dir.file("none") }), Deno.errors.NotFound);
  await Deno.writeFile(dir.file("file"), pattern(10));
  await assertRejects(() => DmaFile.temp({ dir: dir.file("file") }), Deno.errors.NotADirectory);
  await assertFile(dir.file("file"), pattern(10));
});

// ---- closing --------------------------------------------------------------------------------------------------

testInEachDirectory("close lets go of the descriptor, and may be called again", async (dir) => {
  const path = dir.file("closed");
  const file = await open(path, 10);
  assertEquals(descriptorsOf(path), 1);
  await Promise.all([file.close(), file.close()]);
  assertEquals(descriptorsOf(path), 0);
  await file.close();
  await file[Symbol.asyncDispose]();
});

testInEachDirectory("close that fails says so, and has closed all the same", async (dir) => {
  const path = dir.file("fails");
  const file = await open(path, 10);
  {
    using _ = interpose("close", ({ completion, pass }) => {
      pass({}, { complete: () => completion.complete(-5) });
    });
    await assertRejects(() => file.close(), Error, `(os error 5): close '${path}'`);
  }
  assertEquals(descriptorsOf(path), 0);
  // Not tried again: the number may belong to another file by now.
  using again = interpose("close", ({ pass }) => pass());
  await file.close().catch(() => {});
  assertEquals(again.count, 0);
});

testInEachDirectory("await using closes, also after an error", async (dir) => {
  const path = dir.file("using");
  const error = await assertRejects(async () => {
    await using file = await open(path, 10);
    await file.readAt(0, 5);
    throw new Error("of the user's own");
  });
  assertInstanceOf(error, Error);
  assertEquals(error.message, "of the user's own");
  assertEquals(descriptorsOf(path), 0);
});

testInOneDirectory("A file that is dropped is closed when it is collected", async (dir) => {
  const drop = async () => {
    for (let index = 0; index < 50; index++) {
      const file = await DmaFile.create(dir.file(`dropped ${index}`));
      await file.writeAt(pattern(4096), 0);
    }
  };
  await drop();
  assert(descriptorsIn(dir.path) > 0);
  await eventually(async () => {
    await collectGarbage();
    return descriptorsIn(dir.path) === 0;
  });
  assertEquals(engine.pool.blocks, 0);
  await assertFile(dir.file("dropped 49"), pattern(4096));
});

testInOneDirectory(
  "A file that is dropped under an operation lives until that is over",
  async (dir) => {
    const path = dir.file("under way");
    await Deno.writeFile(path, pattern(50_000));
    using reads = hold("read", { results: true });
    const read = (async () => (await DmaFile.open(path)).readAt(3, 40_000))();
    await reads.reach();
    await collectGarbage();
    assertEquals(descriptorsOf(path), 1);
    reads.letGo();
    assertEquals(await read, pattern(40_000, 3));
    await eventually(async () => {
      await collectGarbage();
      return descriptorsOf(path) === 0;
    });
  },
);
