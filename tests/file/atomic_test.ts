// Atomic files appear complete and durable when they are closed without an error, and otherwise never.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { hasProgram, pause, runOrThrow } from "../setup/command.ts";
import { assertFile, assertNoFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn } from "../support/descriptors.ts";
import {
  testBetweenDirectories,
  type TestDirectory,
  testInEachDirectory,
  type TestInEachDirectoryOptions,
} from "../support/dirs.ts";
import "../support/engine.ts";
import { fail, hold, withoutUnnamedFiles } from "../support/interpose.ts";

const { IsADirectory, NotFound, NotSupported } = Deno.errors;

/** Registers a test twice: with unnamed files, and with temporary names. */
function testBothWays(
  name: string,
  fn: (dir: TestDirectory) => Promise<void>,
  options?: TestInEachDirectoryOptions,
): void {
  testInEachDirectory(`${name}, where files need no name`, fn, options);
  testInEachDirectory(`${name}, where files need a name`, async (dir) => {
    using _ = withoutUnnamedFiles();
    await fn(dir);
  }, options);
}

function create(path: string): Promise<DmaFile> {
  return DmaFile.create(path, { atomic: true });
}

/** Throws unless the directory has these names and no others, and no descriptor leads into it. */
async function assertOnly(dir: TestDirectory, ...names: string[]): Promise<void> {
  assertEquals([await namesIn(dir.path), descriptorsIn(dir.path)], [names, 0]);
}

// ---- published ----------------------------------------------------------------------------------------------------

for (const before of [undefined, pattern(100)]) {
  const becomes = before ? "replaces the old one" : "appears";
  testBothWays(`An atomic file ${becomes} when it is closed`, async (dir) => {
    const path = dir.file("file");
    if (before) await Deno.writeFile(path, before);
    const old = before && await Deno.open(path);
    const file = await create(path);
    assertEquals(file.path, path);
    await file.writeAt(filled(8192, 2), 0);
    assertEquals(await file.readAt(5000, 100), filled(100, 2));
    await (before ? assertFile(path, before) : assertNoFile(path));
    await file.close();
    await assertFile(path, filled(8192, 2));
    await file.close();
    // Handles of the old file keep it.
    if (old) assertEquals(await new Response(old.readable).bytes(), before);
    await assertOnly(dir, "file");
  });
}

testBothWays("rename of an atomic file changes where it will appear", async (dir) => {
  await Deno.mkdir(dir.file("other"));
  await Deno.writeFile(dir.file("first"), pattern(100));
  for (const second of ["second", "other/second"]) {
    const file = await create(dir.file("first"));
    await file.writeAt(pattern(4096), 0);
    await file.rename(dir.file(second));
    assertEquals(file.path, dir.file(second));
    await assertNoFile(dir.file(second));
    await file.close();
    await assertFile(dir.file(second), pattern(4096));
    await Deno.remove(dir.file(second));
  }
  await assertFile(dir.file("first"), pattern(100));
  assertEquals(await namesIn(dir.file("other")), []);
  await assertOnly(dir, "first", "other");
});

testBothWays("An atomic file that is closed under its reader appears", async (dir) => {
  const file = await create(dir.file("file"));
  await file.writeAt(pattern(1 << 20), 0);
  const reader = new DmaStreamReader(file, { bufferSize: 4096, readAhead: 1 }).getReader();
  await reader.read();
  using asked = hold("stat");
  const size = file.size();
  const closing = file.close();
  const rest = async () => {
    while (!(await reader.read()).done);
  };
  const failing = assertRejects(rest, Deno.errors.BadResource, "the file is closed");
  // The stream has failed, and waits for the close, which waits for the size.
  await pause(10);
  asked.letGo();
  await Promise.all([failing, closing, size]);
  await assertFile(file.path, pattern(1 << 20));
  await assertOnly(dir, "file");
});

testBothWays("An atomic file replaces a symbolic link, not its target", async (dir) => {
  await Deno.writeFile(dir.file("target"), pattern(100));
  await Deno.symlink("target", dir.file("link"));
  await (await create(dir.file("link"))).close();
  assert((await Deno.lstat(dir.file("link"))).isFile);
  await assertFile(dir.file("target"), pattern(100));
});

// ---- never there --------------------------------------------------------------------------------------------------

/** Work with a failing operation. A second attempt would succeed, although bytes are lost. */
async function whileFailing(
  operation: "write" | "sync" | "truncate",
  work: () => Promise<unknown>,
): Promise<void> {
  using failing = fail(operation, Errno.ENOSPC);
  await assertRejects(work, Error, `No space left on device (os error 28): ${operation}`);
  assert(failing.count > 0);
}

async function closeFails(file: DmaFile, operation: "write" | "sync" | "truncate"): Promise<void> {
  const writer = new DmaStreamWriter(file, { sizeHint: 5_000_000 });
  await writer.write(pattern(1_100_001));
  await whileFailing(operation, () => writer.close());
}

/** The reasons for which an atomic file never appears. */
const ends: Record<string, (file: DmaFile) => Promise<unknown>> = {
  "its writer is aborted": async ({ writable }) => {
    await writable.write(pattern(5_000_000));
    await writable.flushAligned();
    await writable.abort("no more");
  },
  "the file is closed under its writer": async (file) => {
    await file.writable.write(pattern(100_000));
    await file.close();
    await assertRejects(() => file.writable.close(), Deno.errors.BadResource);
  },
  "its writer's write fails": (file) => closeFails(file, "write"),
  "its writer's sync fails": (file) => closeFails(file, "sync"),
  "its writer's truncate fails": (file) => closeFails(file, "truncate"),
  "a write of it failed": async (file) => {
    await whileFailing("write", () => file.writeAt(pattern(4096), 4096));
    await assertRejects(() => file.close(), Error, "(os error 28): write");
  },
  "a sync of it failed": async (file) => {
    await file.writeAt(pattern(4096), 0);
    await whileFailing("sync", () => file.sync());
    await assertRejects(() => file.close(), Error, "(os error 28): sync");
  },
  "a write failed, and a writer closes it": async (file) => {
    await whileFailing("write", () => file.writeAt(pattern(4096), 4096));
    await file.writable.write(pattern(100));
    await assertRejects(() => file.writable.close(), Error, "(os error 28): write");
  },
  "it cannot be read back": async (file) => {
    await file.writeAt(pattern(4096), 0);
    using _ = fail("read", Errno.EIO);
    await assertRejects(() => Array.fromAsync(file.readable), Error, "(os error 5): read");
  },
  "the sync at its end fails": async (file) => {
    await file.writeAt(pattern(4096), 0);
    await whileFailing("sync", () => file.close());
  },
  "it is removed": async (file) => {
    await file.writeAt(pattern(4096), 0);
    await file.remove();
    assertEquals(await file.readAt(0, 10), pattern(10));
    await file.close();
  },
};

for (const [name, end] of Object.entries(ends)) {
  testBothWays(`An atomic file is discarded when ${name}`, async (dir) => {
    await Deno.writeFile(dir.file("old"), pattern(100));
    for (const path of [dir.file("old"), dir.file("new")]) {
      await end(await create(path));
      await assertOnly(dir, "old");
    }
    await assertFile(dir.file("old"), pattern(100));
  });
}

testBothWays("An atomic file cannot replace a directory", async (dir) => {
  await Deno.mkdir(dir.file("directory"));
  const making = async (path: string) => await (await create(path)).close();
  await assertRejects(() => making(dir.file("directory")), IsADirectory);
  await assertRejects(() => making(`${dir.path}/x/`), IsADirectory);
  await assertRejects(() => making(""), NotFound);
  await assertRejects(() => making(dir.file("no/x")), NotFound);
  await assertOnly(dir, "directory");
});

testBothWays("An atomic file cannot replace what is no regular file", async (dir) => {
  await runOrThrow("mkfifo", [dir.file("fifo")]);
  await Deno.symlink("fifo", dir.file("link"));
  for (const name of ["fifo", "link"]) {
    const message = `open '${dir.file(name)}': a FIFO is not a regular file`;
    await assertRejects(() => create(dir.file(name)), NotSupported, message);
    const file = await create(dir.file("new"));
    const renaming = () => file.rename(dir.file(name));
    await assertRejects(renaming, NotSupported, `rename '${dir.file(name)}': a FIFO`);
    await file.remove();
    await file.close();
  }
  assert((await Deno.lstat(dir.file("fifo"))).isFifo);
  await assertOnly(dir, "fifo", "link");
});

testBothWays("An atomic file is not renamed to a name that is a directory", async (dir) => {
  const file = await create(dir.file("kept"));
  await file.writeAt(pattern(4096), 0);
  await assertRejects(() => file.rename(dir.file("name/")), IsADirectory);
  assertEquals(file.path, dir.file("kept"));
  await file.close();
  await assertFile(file.path, pattern(4096));
});

testBetweenDirectories("An atomic file is not renamed", async (from, to) => {
  for (const refuses of [false, true]) {
    using _ = refuses ? withoutUnnamedFiles() : undefined;
    const file = await create(from.file("kept"));
    const { code } = await assertRejects(() => file.rename(to.file("name"))) as DmaError;
    assertEquals([code, file.path], ["EXDEV", from.file("kept")]);
    await file.close();
    await assertOnly(from, "kept");
    await assertOnly(to);
  }
});

testBothWays("An atomic file is not renamed into an immutable directory", async (dir) => {
  const immutable = dir.file("immutable");
  await Deno.mkdir(immutable);
  await runOrThrow("chattr", ["+i", immutable]);
  try {
    const file = await create(dir.file("kept"));
    await assertRejects(() => file.rename(`${immutable}/name`), Deno.errors.PermissionDenied);
    await file.close();
    await assertOnly(dir, "immutable", "kept");
  } finally {
    await runOrThrow("chattr", ["-i", immutable]);
  }
}, { ignore: Deno.uid() !== 0 || !hasProgram("chattr") });

// ---- temporary names ----------------------------------------------------------------------------------------------

testInEachDirectory("A kernel that takes O_TMPFILE for O_DIRECTORY is understood", async (dir) => {
  using _ = withoutUnnamedFiles(Errno.EISDIR);
  await (await create(dir.file("old kernel"))).close();
  await assertOnly(dir, "old kernel");
});

testBothWays("Atomic files of one path have names of their own, by any UUID", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, pattern(100));
  crypto.randomUUID = () => "0-0-0-0-0";
  try {
    const files = [await create(path), await create(path)];
    for (const file of files) await file.writeAt(pattern(4096), 0);
    using renames = hold("rename");
    const closing = files.map((file) => file.close());
    await renames.reach(files.length);
    renames.letGo();
    await Promise.all(closing);
  } finally {
    Reflect.deleteProperty(crypto, "randomUUID");
  }
  await assertFile(path, pattern(4096));
  await assertOnly(dir, "file");
});

testInEachDirectory("A temporary name is hidden, and not too long", async (dir) => {
  using _ = withoutUnnamedFiles();
  for (const name of ["short", "ü".repeat(127), "😀".repeat(60), "n".repeat(255)]) {
    await using _file = await create(dir.file(name));
    const [temporary] = (await namesIn(dir.path)).filter((name) => name.endsWith(".tmp"));
    assert(temporary!.startsWith("."), temporary);
    assert(new TextEncoder().encode(temporary).length <= 255);
    // The name must not contain half of a surrogate pair.
    assertEquals(temporary, temporary!.toWellFormed());
  }
});
