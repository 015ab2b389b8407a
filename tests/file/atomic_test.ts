// Atomic files: there whole and durable when closed without an error, and otherwise never.

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { type DmaError, DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, eventually } from "../support/descriptors.ts";
import { type TestDirectory, testInEachDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose, type Interposed } from "../support/interpose.ts";
import { collectGarbage } from "../support/leaks.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";

const O_DIRECTORY = Deno.build.arch === "aarch64" ? 0o40000 : 0o200000;
const O_TMPFILE = 0o20000000 | O_DIRECTORY;
const EIO = 5;
const EISDIR = 21;
const ENOSPC = 28;
const EOPNOTSUPP = 95;

/** A file system without files that have no name, as FUSE's mostly are. */
function withoutUnnamedFiles(errno: number): Interposed {
  return interpose("open", ({ operation, pass, end }) => {
    if ((operation.flags & O_TMPFILE) === O_TMPFILE) end(-errno);
    else pass();
  });
}

function testBothWays(
  name: string,
  fn: (dir: TestDirectory) => Promise<void>,
  test = testInEachDirectory,
): void {
  test(`${name}, where files need no name`, fn);
  test(`${name}, where files need a name`, async (dir) => {
    using _ = withoutUnnamedFiles(EOPNOTSUPP);
    await fn(dir);
  });
}

/** What is in the directory besides temporary names of ours. */
async function publicNames(dir: TestDirectory): Promise<string[]> {
  return (await namesIn(dir.path)).filter((name) => !/^\..*\.tmp$/.test(name));
}

testBothWays("An atomic file appears when it is closed", async (dir) => {
  const path = dir.file("new");
  const file = await DmaFile.create(path, { atomic: true });
  assertEquals(file.path, path);
  await file.writeAt(pattern(8192), 0);
  assertEquals(await file.readAt(5000, 100), pattern(100, 5000));
  assertEquals(await publicNames(dir), []);
  await file.close();
  await assertFile(path, pattern(8192));
  assertEquals(await namesIn(dir.path), ["new"]);
  await file.close();
  assertEquals(descriptorsIn(dir.path), 0);
});

testBothWays("An atomic file replaces the old one at once", async (dir) => {
  const path = dir.file("old");
  await Deno.writeFile(path, pattern(100));
  const before = await Deno.open(path);
  const file = await DmaFile.create(path, { atomic: true });
  await file.writeAt(filled(4096, 2), 0);
  await assertFile(path, pattern(100));
  await file.close();
  await assertFile(path, filled(4096, 2));
  assertEquals(await namesIn(dir.path), ["old"]);
  // Who has the old one open keeps it.
  assertEquals(await new Response(before.readable).bytes(), pattern(100));
});

testBothWays("A writer publishes an atomic file when it closes", async (dir) => {
  const path = dir.file("streamed");
  const file = await DmaFile.create(path, { atomic: true });
  await ReadableStream.from([pattern(3_000_000), pattern(1234, 3_000_000)]).pipeTo(file.writable);
  await assertFile(path, pattern(3_001_234));
  assertEquals(await namesIn(dir.path), ["streamed"]);
  assertEquals(descriptorsIn(dir.path), 0);
});

/** A write that fails, or a sync: another would succeed, and mean nothing. */
async function failsOnce(operation: "write" | "sync", work: () => Promise<unknown>): Promise<void> {
  using _ = interpose(operation, ({ end }) => end(-ENOSPC));
  await assertRejects(work, Error, "No space left on device");
}

/** How a writer closes where an operation of it fails. */
async function closeFails(file: DmaFile, operation: "write" | "sync" | "truncate"): Promise<void> {
  const writer = new DmaStreamWriter(file, { sizeHint: 5_000_000 });
  await writer.write(pattern(1_100_001));
  using failing = interpose(operation, ({ end }) => end(-EIO));
  await assertRejects(() => writer.close(), Error, "Input/output error");
  assert(failing.count > 0);
}

/** What has an atomic file never appear. */
const ends: Record<string, (file: DmaFile) => Promise<unknown>> = {
  "its writer is aborted": async (file) => {
    const writer = new DmaStreamWriter(file);
    await writer.write(pattern(5_000_000));
    await writer.flushAligned();
    await writer.abort("no more");
  },
  "its source fails": async (file) => {
    const source = ReadableStream.from((async function* () {
      yield pattern(2_000_000);
      await Promise.resolve();
      throw new Error("The source is broken");
    })());
    await assertRejects(() => source.pipeTo(file.writable), Error, "The source is broken");
  },
  "the file is closed under its writer": async (file) => {
    const writer = new DmaStreamWriter(file);
    await writer.write(pattern(100_000));
    await file.close();
    await assertRejects(() => writer.close(), Deno.errors.BadResource);
  },
  "its writer's write fails": (file) => closeFails(file, "write"),
  "its writer's sync fails": (file) => closeFails(file, "sync"),
  "its writer's truncate fails": (file) => closeFails(file, "truncate"),
  "a write of it failed": async (file) => {
    await failsOnce("write", () => file.writeAt(pattern(4096), 4096));
    await assertRejects(() => file.close(), Error, "No space left on device (os error 28): write");
  },
  "a sync of it failed": async (file) => {
    await file.writeAt(pattern(4096), 0);
    await failsOnce("sync", () => file.sync());
    await assertRejects(() => file.close(), Error, "No space left on device (os error 28): sync");
  },
  "a write failed, and a writer closes it": async (file) => {
    await failsOnce("write", () => file.writeAt(pattern(4096), 4096));
    const writer = file.writable;
    await writer.write(pattern(100));
    await assertRejects(
      () => writer.close(),
      Error,
      "No space left on device (os error 28): write",
    );
  },
  "the sync at its end fails": async (file) => {
    await file.writeAt(pattern(4096), 0);
    using _ = interpose("sync", ({ end }) => end(-EIO));
    await assertRejects(() => file.close(), Error, "Input/output error (os error 5): sync");
  },
  "it is removed": async (file) => {
    await file.writeAt(pattern(4096), 0);
    await file.remove();
    assertEquals(await file.readAt(0, 10), pattern(10));
    await file.close();
  },
};

for (const [name, end] of Object.entries(ends)) {
  testBothWays(`An atomic file vanishes when ${name}`, async (dir) => {
    await Deno.writeFile(dir.file("old"), pattern(100));
    for (const path of [dir.file("old"), dir.file("new")]) {
      await end(await DmaFile.create(path, { atomic: true }));
      assertEquals(await namesIn(dir.path), ["old"]);
      assertEquals(descriptorsIn(dir.path), 0);
    }
    await assertFile(dir.file("old"), pattern(100));
  });
}

testBothWays("An atomic file that is dropped never appears", async (dir) => {
  const drop = async () => {
    const file = await DmaFile.create(dir.file("dropped"), { atomic: true });
    await file.writeAt(pattern(4096), 0);
    const writer = new DmaStreamWriter(await DmaFile.create(dir.file("writer"), { atomic: true }));
    await writer.write(pattern(100_000));
  };
  await drop();
  assertEquals(descriptorsIn(dir.path), 2);
  await eventually(async () => {
    await collectGarbage();
    return descriptorsIn(dir.path) === 0;
  });
  await eventually(async () => (await namesIn(dir.path)).length === 0);
  // The end of the removal is reported later than it takes effect.
  await eventually(() => engine.pool.blocks === 0);
}, testInOneDirectory);

testBothWays("An atomic file is durable before it has its name", async (dir) => {
  const path = dir.file("ordered");
  await Deno.writeFile(path, pattern(100));
  const file = await DmaFile.create(path, { atomic: true });
  await file.writeAt(pattern(4096), 0);
  const order: string[] = [];
  using _sync = interpose("sync", ({ operation: { fd }, completion, pass }) => {
    const target = Deno.readLinkSync(`/proc/self/fd/${fd}`);
    const what = target === Deno.realPathSync(dir.path) ? "directory" : "file";
    pass({}, {
      complete: (result) => {
        order.push(`${what} synced`);
        completion.complete(result);
      },
    });
  });
  using _rename = interpose("rename", ({ pass }) => {
    order.push("renamed");
    pass();
  });
  await file.close();
  assertEquals(order, ["file synced", "renamed", "directory synced"]);
  await assertFile(path, pattern(4096));
});

testBothWays("rename of an atomic file changes where it will appear", async (dir) => {
  await Deno.writeFile(dir.file("first"), pattern(100));
  const file = await DmaFile.create(dir.file("first"), { atomic: true });
  await file.rename(dir.file("second"));
  assertEquals([file.path, ...await publicNames(dir)], [dir.file("second"), "first"]);
  await file.close();
  await assertFile(dir.file("first"), pattern(100));
  await assertFile(dir.file("second"), new Uint8Array());
  assertEquals(await namesIn(dir.path), ["first", "second"]);
});

testBothWays("A file at the path of a discarded atomic file stays", async (dir) => {
  const path = dir.file("kept");
  await Deno.writeFile(path, pattern(100));
  const givenUp: ((file: DmaFile) => Promise<void>)[] = [
    (file) => file.remove(),
    (file) => new DmaStreamWriter(file, { closeFile: false }).abort(),
  ];
  for (const giveUp of givenUp) {
    await using file = await DmaFile.create(path, { atomic: true });
    await giveUp(file);
    await assertRejects(() => file.remove(), Deno.errors.NotFound, "the file has no name");
    await assertRejects(() => file.rename(dir.file("other")), Deno.errors.NotFound);
    await assertFile(path, pattern(100));
  }
  assertEquals(await namesIn(dir.path), ["kept"]);
});

testBothWays("An atomic file gets its mode, less the umask", async (dir) => {
  const umask = Deno.umask(0o027);
  try {
    await (await DmaFile.create(dir.file("mode"), { atomic: true, mode: 0o666 })).close();
  } finally {
    Deno.umask(umask);
  }
  assertEquals((await Deno.stat(dir.file("mode"))).mode! & 0o777, 0o640);
});

testBothWays(
  "An atomic file takes the place of a symbolic link, not of its target",
  async (dir) => {
    await Deno.writeFile(dir.file("target"), pattern(100));
    await Deno.symlink("target", dir.file("link"));
    const file = await DmaFile.create(dir.file("link"), { atomic: true });
    await file.close();
    assert((await Deno.lstat(dir.file("link"))).isFile);
    await assertFile(dir.file("target"), pattern(100));
  },
);

testBothWays("An atomic file cannot take the place of a directory", async (dir) => {
  await Deno.mkdir(dir.file("directory"));
  const failing = (async () => {
    await using _file = await DmaFile.create(dir.file("directory"), { atomic: true });
  })();
  assertInstanceOf(await assertRejects(() => failing), Deno.errors.IsADirectory);
  const creating = (path: string) => () => DmaFile.create(path, { atomic: true });
  await assertRejects(creating(`${dir.path}/x/`), Deno.errors.IsADirectory);
  await assertRejects(creating(""), Deno.errors.NotFound);
  await assertRejects(creating(dir.file("no/x")), Deno.errors.NotFound);
  assertEquals(await namesIn(dir.path), ["directory"]);
  assertEquals(descriptorsIn(dir.path), 0);
});

testBothWays("An atomic file does not take the place of what is no regular file", async (dir) => {
  await runOrThrow("mkfifo", [dir.file("fifo")]);
  await Deno.symlink("fifo", dir.file("link"));
  for (const name of ["fifo", "link"]) {
    await assertRejects(
      () => DmaFile.create(dir.file(name), { atomic: true }),
      Deno.errors.NotSupported,
      `open '${dir.file(name)}': a FIFO is not a regular file`,
    );
    const file = await DmaFile.create(dir.file("new"), { atomic: true });
    await assertRejects(() => file.rename(dir.file(name)), Deno.errors.NotSupported);
    await file.remove();
    await file.close();
  }
  assert((await Deno.lstat(dir.file("fifo"))).isFifo);
  assertEquals(await namesIn(dir.path), ["fifo", "link"]);
  assertEquals(descriptorsIn(dir.path), 0);
});

testBothWays("An atomic file is not renamed to a name that it could not get", async (dir) => {
  const path = dir.file("kept");
  const file = await DmaFile.create(path, { atomic: true });
  await file.writeAt(pattern(4096), 0);
  const elsewhere = await assertRejects(() => file.rename("/proc/dma"));
  assertEquals((elsewhere as DmaError).code, "EXDEV");
  await assertRejects(() => file.rename(dir.file("name/")), Deno.errors.IsADirectory);
  assertEquals(file.path, path);
  await file.close();
  await assertFile(path, pattern(4096));
});

testInEachDirectory("An atomic file is not renamed into an immutable directory", async (dir) => {
  const immutable = dir.file("immutable");
  await Deno.mkdir(immutable);
  await runOrThrow("chattr", ["+i", immutable]);
  try {
    const file = await DmaFile.create(dir.file("kept"), { atomic: true });
    await assertRejects(() => file.rename(`${immutable}/name`), Deno.errors.PermissionDenied);
    await file.close();
    assertEquals(await namesIn(dir.path), ["immutable", "kept"]);
  } finally {
    await runOrThrow("chattr", ["-i", immutable]);
  }
}, { ignore: Deno.uid() !== 0 || !hasProgram("chattr") });

testBothWays("An atomic file can be renamed to another directory", async (dir) => {
  await Deno.mkdir(dir.file("other"));
  const file = await DmaFile.create(dir.file("file"), { atomic: true });
  await file.writeAt(pattern(4096), 0);
  await file.rename(dir.file("other/file"));
  assertEquals(await namesIn(dir.file("other")), []);
  await file.close();
  await assertFile(dir.file("other/file"), pattern(4096));
  assertEquals([await namesIn(dir.path), await namesIn(dir.file("other"))], [["other"], ["file"]]);
});

testInEachDirectory("A kernel that takes O_TMPFILE for O_DIRECTORY is understood", async (dir) => {
  using _ = withoutUnnamedFiles(EISDIR);
  const file = await DmaFile.create(dir.file("old kernel"), { atomic: true });
  await file.close();
  assertEquals(await namesIn(dir.path), ["old kernel"]);
});

testInEachDirectory(
  "A temporary name is hidden, beside the file, and short enough",
  async (dir) => {
    using _ = withoutUnnamedFiles(EOPNOTSUPP);
    for (const name of ["short", "ü".repeat(127), "😀".repeat(60), "n".repeat(255)]) {
      await using _file = await DmaFile.create(dir.file(name), { atomic: true });
      const [temporary] = (await namesIn(dir.path)).filter((name) => name.endsWith(".tmp"));
      assert(temporary!.startsWith("."), temporary);
      assert(new TextEncoder().encode(temporary).length <= 255);
      // No half of a surrogate pair.
      assertEquals(temporary, temporary!.toWellFormed());
    }
  },
);
