// Atomic files appear complete and durable when they are closed without an error, and otherwise never.

import { existsSync } from "node:fs";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type DmaError, DmaFile, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { runOrThrow } from "../setup/command.ts";
import { assertFile, assertNoFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn } from "../support/leaks.ts";
import { type TestDirectory, testInEachDirectory, testPairs } from "../support/dirs.ts";
import { fail, hold, withoutUnnamedFiles } from "../support/engine.ts";

const { BadResource, IsADirectory, NotFound, NotSupported, PermissionDenied } = Deno.errors;

/** Registers a test twice: with unnamed files, and with temporary names. */
function testBothWays(...[name, fn, options]: Parameters<typeof testInEachDirectory>): void {
  testInEachDirectory(`${name}, where files need no name`, fn, options);
  testInEachDirectory(`${name}, where files need a name`, async (dir, path) => {
    using _ = withoutUnnamedFiles();
    await fn(dir, path);
  }, options);
}

function create(path: string): Promise<DmaFile> {
  return DmaFile.create(path, { atomic: true });
}

/** Throws unless the directory has these names and no others, and no descriptor leads into it. */
async function assertOnly(dir: TestDirectory, ...names: string[]): Promise<void> {
  assertEquals([await namesIn(dir.path), descriptorsIn(dir.path)], [names, 0]);
}

testBothWays("An atomic file appears, or replaces the old one, when closed", async (dir, path) => {
  await Deno.symlink("file", dir.file("link"));
  for (const [name, before, after] of [["file", 0, 1], ["file", 1, 2], ["link", 0, 3]] as const) {
    const old = before && await Deno.open(path);
    const file = await create(dir.file(name));
    assertEquals(file.path, dir.file(name));
    await file.writeAt(filled(8192, after), 0);
    assertEquals(await file.readAt(5000, 100), filled(100, after));
    if (name === "file") {
      await (before ? assertFile(path, filled(8192, before)) : assertNoFile(path));
    }
    await file.close();
    await assertFile(dir.file(name), filled(8192, after));
    // Handles of the old file keep it.
    if (old) assertEquals(await new Response(old.readable).bytes(), filled(8192, before));
  }
  // The symbolic link was replaced, not its target.
  assert((await Deno.lstat(dir.file("link"))).isFile);
  await assertFile(path, filled(8192, 2));
  await assertOnly(dir, "file", "link");
});

/** Some reasons for which an atomic file never appears. The simulator has all others. */
const ends: Record<string, (file: DmaFile) => Promise<unknown>> = {
  "the file is closed under its writer": async (file) => {
    await file.writable.write(pattern(100_000));
    await file.close();
    await assertRejects(() => file.writable.close(), BadResource);
  },
  "a write of it failed, and a writer closes it": async (file) => {
    // A second attempt would succeed, although bytes are lost.
    const failed = fail("write", Errno.ENOSPC);
    await assertRejects(() => file.writeAt(pattern(4096), 4096), Error, "(os error 28): write");
    failed[Symbol.dispose]();
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
    using _ = fail("sync", Errno.ENOSPC);
    await assertRejects(() => file.close(), Error, "(os error 28): sync");
    // The caller of close() has the failure.
    await file[Symbol.asyncDispose]();
  },
};

testBothWays("An atomic file does not appear after an abort or a failure", async (dir) => {
  await Deno.writeFile(dir.file("old"), pattern(100));
  for (const end of Object.values(ends)) {
    for (const name of ["old", "new"]) {
      await end(await create(dir.file(name)));
      await assertOnly(dir, "old");
    }
  }
  // An error that an open without a name should not have.
  using _ = withoutUnnamedFiles(Errno.EEXIST);
  await using refused = await create(dir.file("old")).catch(() => undefined);
  await refused?.writeAt(pattern(4096), 0);
  await refused?.remove();
  await assertFile(dir.file("old"), pattern(100));
});

testBothWays("Programs that watch the directory see a new atomic file renamed", async (dir) => {
  const watcher = Deno.watchFs(dir.path);
  await (await create(dir.file("file"))).close();
  for await (const { kind, paths } of watcher) {
    if (!paths.includes(dir.file("file"))) continue;
    assertEquals(kind, "rename");
    break;
  }
});

testBothWays("An atomic file replaces only a regular file", async (dir) => {
  await Deno.mkdir(dir.file("directory"));
  await runOrThrow("mkfifo", [dir.file("fifo")]);
  await Deno.symlink("fifo", dir.file("link"));
  // Like /dev/stdout.
  await Deno.symlink("/proc/self/exe", dir.file("proc"));
  const cases: [name: string, type: typeof NotFound, message: string][] = [
    ["directory", IsADirectory, ""],
    ["x/", IsADirectory, ""],
    ["no/x", NotFound, ""],
    ["x".repeat(256), Error, "File name too long"],
    ["fifo", NotSupported, "a FIFO is not a regular file"],
    ["link", NotSupported, "a FIFO is not a regular file"],
    ["proc", NotSupported, "a link into /proc is not a regular file"],
  ];
  for (const [name, type, message] of cases) {
    await assertRejects(() => create(dir.file(name)), type, message);
    const file = await create(dir.file("kept"));
    const error = await assertRejects(() => file.rename(dir.file(name)), type, message) as DmaError;
    assertStringIncludes(error.message, `rename '${file.path}' -> '${dir.file(name)}'`);
    assertEquals([file.path, error.path], Array(2).fill(dir.file("kept")));
    await file.close();
  }
  await assertRejects(() => create(""), NotFound);
  assert((await Deno.lstat(dir.file("fifo"))).isFifo);
  await assertOnly(dir, "directory", "fifo", "kept", "link", "proc");
});

testPairs("An atomic file is not renamed", async (from, to) => {
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
  const change = async (by: string) => void await runOrThrow("chattr", [by, immutable]);
  await change("+i");
  await using _ = { [Symbol.asyncDispose]: () => change("-i") };
  const file = await create(dir.file("kept"));
  await assertRejects(() => file.rename(`${immutable}/name`), PermissionDenied);
  await file.close();
  await assertOnly(dir, "immutable", "kept");
}, { needs: ["root", "chattr"] });

testBothWays("An atomic program can be executed when it appears", async (_dir, path) => {
  for (const streams of [false, true]) {
    const file = await DmaFile.create(path, { atomic: true, mode: 0o755 });
    const script = file.allocBuffer(4096);
    script.bytes.set(new TextEncoder().encode("#!/bin/sh\nexit\n"));
    await file.writeAt(script, 0);
    using syncs = hold("sync", { only: () => existsSync(path) });
    const closing = streams ? new DmaStreamWriter(file).close() : file.close();
    await syncs.reach();
    await runOrThrow(path, []);
    syncs.letGo();
    await closing;
    await Deno.remove(path);
  }
});

testInEachDirectory("An atomic file appears in an append-only directory", async (dir) => {
  await runOrThrow("chattr", ["+a", dir.path]);
  await create(dir.file("file")).then((file) => file.close())
    .finally(() => runOrThrow("chattr", ["-a", dir.path]));
  await assertOnly(dir, "file");
}, { needs: ["root", "chattr"] });

testInEachDirectory("An atomic file appears where a sandbox forbids renames", async (dir) => {
  using _ = fail("rename", Errno.EACCES);
  await create(dir.file("file")).then((file) => file.close());
  await assertOnly(dir, "file");
  // If it forbids removals too, the hidden name stays.
  using _removals = fail("unlink", Errno.EACCES);
  await create(dir.file("other")).then((file) => file.close());
  assert((await namesIn(dir.path)).includes("other"));
});

testInEachDirectory("A temporary name is hidden, and not too long", async (dir) => {
  // An older kernel takes O_TMPFILE for O_DIRECTORY.
  using _ = withoutUnnamedFiles(Errno.EISDIR);
  for (const name of ["short", "ü".repeat(127), "😀".repeat(60), "n".repeat(255)]) {
    await using _file = await create(dir.file(name));
    const [temporary] = (await namesIn(dir.path)).filter((name) => name.endsWith(".tmp"));
    assert(temporary!.startsWith("."), temporary);
    assert(new TextEncoder().encode(temporary).length <= 255);
    // The name must not contain half of a surrogate pair.
    assertEquals(temporary, temporary!.toWellFormed());
  }
});
