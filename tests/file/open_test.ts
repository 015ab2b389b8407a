// DmaFile.open and create: the options, the names, and errors that are Deno's own.

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { type DmaError, DmaFile } from "../../mod.ts";
import { Errno, O_APPEND, O_CREAT, O_DIRECT, O_EXCL, O_NONBLOCK } from "../../src/engine/linux.ts";
import { assertFile, assertNoFile, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf } from "../support/descriptors.ts";
import { isOnDisk, testInEachDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { interpose } from "../support/interpose.ts";
import { run } from "../setup/command.ts";

async function failure(work: () => Promise<unknown>): Promise<DmaError> {
  return await assertRejects(work, Error) as DmaError;
}

/** A file system that refuses O_DIRECT. `before` is called first. */
function withoutDirect(before: () => void = () => {}): Disposable {
  engine.setFlags = () => {
    before();
    return -Errno.EINVAL;
  };
  return {
    [Symbol.dispose]() {
      delete (engine as { setFlags?: unknown }).setFlags;
    },
  };
}

testInEachDirectory("DmaFile.create empties the file that is there", async (dir) => {
  const path = dir.file("old");
  await Deno.writeFile(path, pattern(5000), { mode: 0o640 });
  await using file = await DmaFile.create(path, { mode: 0o600 });
  assertEquals(await file.size(), 0);
  assertEquals((await file.stat()).mode! & 0o777, 0o640);
});

testInEachDirectory("DmaFile.open reads only, by default", async (dir) => {
  const path = dir.file("read");
  await Deno.writeFile(path, pattern(5000));
  await using file = await DmaFile.open(path);
  const error = await failure(() => file.writeAt(file.allocBuffer(4096), 0));
  assertInstanceOf(error, Deno.errors.BadResource);
  assertEquals(error.code, "EBADF");
  assertEquals(error.op, "write");
  assertEquals(error.path, path);
  await assertRejects(() => file.truncate(0), Deno.errors.BadResource);
  await assertRejects(() => file.preallocate(8192), Deno.errors.BadResource);
  await assertRejects(() => file.deallocate(0, 4096), Deno.errors.BadResource);
  assertThrows(() => file.writable, TypeError, "opened without write");
  await assertFile(path, pattern(5000));
});

testInEachDirectory("DmaFile.open without read refuses to read", async (dir) => {
  const path = dir.file("write");
  await Deno.writeFile(path, pattern(5000));
  await using file = await DmaFile.open(path, { read: false, write: true });
  const error = await failure(() => file.readAt(0, 10));
  assertInstanceOf(error, Deno.errors.BadResource);
  assertEquals(error.code, "EBADF");
  await assertRejects(() => file.readAtAligned(0, 4096), Deno.errors.BadResource);
  assertEquals(await file.size(), 5000);
  assertEquals(await file.writeAt(file.allocBuffer(4096), 0), 4096);
});

testInEachDirectory("DmaFile.open empties a file only with truncate", async (dir) => {
  const path = dir.file("file");
  // The first one makes it.
  for (
    const [options, size] of [[{ create: true }, 0], [{}, 4096], [{ create: true }, 4096]] as const
  ) {
    await using file = await DmaFile.open(path, { write: true, ...options });
    assertEquals(await file.size(), size);
    await file.writeAt(pattern(4096), 0);
  }
  await (await DmaFile.open(path, { write: true, truncate: true })).close();
  await assertFile(path, new Uint8Array());
});

testInEachDirectory("DmaFile.open with createNew fails if the file exists", async (dir) => {
  const path = dir.file("new");
  await (await DmaFile.open(path, { write: true, createNew: true })).close();
  await Deno.writeFile(path, pattern(100));
  const options = { write: true, createNew: true, truncate: true };
  const error = await failure(() => DmaFile.open(path, options));
  assertInstanceOf(error, Deno.errors.AlreadyExists);
  assertEquals(error.code, "EEXIST");
  await assertFile(path, pattern(100));
  await Deno.symlink(dir.file("nowhere"), dir.file("link"));
  await assertRejects(() => DmaFile.open(dir.file("link"), options), Deno.errors.AlreadyExists);
  await assertNoFile(dir.file("nowhere"));
});

testInEachDirectory(
  "A link to nothing stays where the file it has made is refused",
  async (dir) => {
    await Deno.symlink("target", dir.file("link"));
    using _ = withoutDirect();
    const opening = () => DmaFile.create(dir.file("link"), { direct: "require" });
    await assertRejects(opening, Deno.errors.NotSupported);
    assertEquals(await namesIn(dir.path), ["link"]);
    assertEquals(descriptorsIn(dir.path), 0);
  },
);

testInEachDirectory(
  "A file that is refused stays if another program has written to it",
  async (dir) => {
    await Deno.symlink("target", dir.file("link"));
    for (const [path, made] of [["file", "file"], ["link", "target"]] as const) {
      using _ = withoutDirect(() => Deno.writeFileSync(dir.file(made), pattern(9)));
      const opening = DmaFile.create(dir.file(path), { direct: "require" });
      await assertRejects(() => opening, Deno.errors.NotSupported);
      await assertFile(dir.file(made), pattern(9));
    }
  },
);

testInEachDirectory(
  "DmaFile.create empties a file that another program creates at the last moment",
  async (dir) => {
    const path = dir.file("file");
    await Deno.writeFile(path, pattern(100));
    // There, gone, and there again with something in it.
    let opens = 0;
    using _ = interpose("open", ({ operation, pass, end }) => {
      if (operation.name !== "file") pass();
      else if (++opens === 1) end(-Errno.EEXIST);
      else if (opens === 2) end(-Errno.ENOENT);
      else pass();
    });
    await using file = await DmaFile.create(path);
    assertEquals(await file.size(), 0);
  },
);

testInEachDirectory("DmaFile.create follows a symbolic link, also one to nothing", async (dir) => {
  await Deno.symlink("target", dir.file("link"));
  const file = await DmaFile.create(dir.file("link"));
  await file.writeAt(pattern(4096), 0);
  await file.close();
  await assertFile(dir.file("target"), pattern(4096));
  const again = await DmaFile.create(dir.file("link"));
  assertEquals(await again.size(), 0);
  await again.close();
  assert((await Deno.lstat(dir.file("link"))).isSymlink);
});

testInEachDirectory("DmaFile.create gives a new file its mode, less the umask", async (dir) => {
  const umask = Deno.umask(0o027);
  try {
    for (
      const [mode, expected] of [[undefined, 0o640], [0o777, 0o750], [0o400, 0o400], [
        0o104_777,
        0o750,
      ]] as const
    ) {
      const path = dir.file(`mode ${mode}`);
      const file = await DmaFile.create(path, mode === undefined ? {} : { mode });
      assertEquals((await file.stat()).mode! & 0o7777, expected);
      await file.close();
    }
  } finally {
    Deno.umask(umask);
  }
});

testInEachDirectory('DmaFile with direct "off" goes through the page cache', async (dir) => {
  const path = dir.file("cached");
  await using file = await DmaFile.create(path, { direct: "off" });
  assertEquals(file.direct, false);
  assertEquals(file.alignment, { memory: 4096, offset: 4096 });
  await file.writeAt(pattern(8192), 0);
  assertEquals(await file.readAt(100, 5000), pattern(5000, 100));
});

testInEachDirectory('DmaFile with direct "require" has Direct I/O', async (dir) => {
  await using file = await DmaFile.create(dir.file("direct"), { direct: "require" });
  assertEquals(file.direct, true);
}, { where: ({ fileSystem }) => ["ext4", "xfs", "btrfs"].includes(fileSystem) });

testInEachDirectory(
  'DmaFile with direct "require" fails in memory, and harms nothing',
  async (dir) => {
    const path = dir.file("old");
    await Deno.writeFile(path, pattern(5000));
    const error = await failure(() => DmaFile.create(path, { direct: "require" }));
    assertInstanceOf(error, Deno.errors.NotSupported);
    await assertFile(path, pattern(5000));
    const made = dir.file("new");
    await assertRejects(
      () => DmaFile.create(made, { direct: "require" }),
      Deno.errors.NotSupported,
    );
    await assertNoFile(made);
    assertEquals(descriptorsIn(dir.path), 0);
    await using file = await DmaFile.create(path);
    assertEquals(file.direct, false);
  },
  { where: ({ fileSystem }) => fileSystem === "tmpfs" },
);

testInEachDirectory(
  "A file in a sticky directory that the kernel would not open to create stays as it is",
  async (dir) => {
    const path = dir.file("file");
    await Deno.writeFile(path, pattern(100));
    await Deno.chmod(dir.path, 0o1777);
    // As with fs.protected_regular (proc_sys_fs(5)), if the file is another user's.
    using opening = interpose("open", ({ operation: { flags }, pass, end }) => {
      if (flags & O_CREAT && !(flags & O_EXCL)) end(-Errno.EACCES);
      else pass();
    });
    for (const options of [{ truncate: true }, {}]) {
      const creating = DmaFile.open(path, { write: true, create: true, ...options });
      await assertRejects(() => creating, Deno.errors.PermissionDenied, `open '${path}'`);
    }
    await assertRejects(() => DmaFile.create(path), Deno.errors.PermissionDenied);
    await assertFile(path, pattern(100));
    await (await DmaFile.open(path, { write: true })).close();
    assert(opening.count > 0);
  },
);

testInEachDirectory(
  "A file that has no Direct I/O, though O_DIRECT opens, says so",
  async (dir) => {
    const path = dir.file("journaled");
    await Deno.writeFile(path, new Uint8Array());
    // ext4 journals the data of this one file, past which no I/O may go.
    if (!(await run("chattr", ["+j", path])).success) return;
    await assertRejects(
      () => DmaFile.open(path, { write: true, direct: "require" }),
      Deno.errors.NotSupported,
      "no Direct I/O",
    );
    await using file = await DmaFile.open(path, { write: true });
    assertEquals(file.direct, false);
    assertEquals(file.alignment, { memory: 4096, offset: 4096 });
    await file.writeAt(pattern(4096), 0);
    await assertFile(path, pattern(4096));
  },
  { where: ({ fileSystem }) => fileSystem === "ext4", ignore: Deno.uid() !== 0 },
);

testInEachDirectory("DmaFile.alignment is a block of the file system at least", async (dir) => {
  await using file = await DmaFile.create(dir.file("aligned"));
  const { memory, offset } = file.alignment;
  for (const value of [memory, offset]) {
    assert(value > 0 && value <= 65536 && Number.isInteger(Math.log2(value)), `${value}`);
  }
  if (isOnDisk(dir)) assertEquals(offset, Deno.statSync(file.path).blksize);
  if (!file.direct) assertEquals(file.alignment, { memory: 4096, offset: 4096 });
  // The smallest write that is said to do is one that the kernel takes.
  assertEquals(await file.writeAt(pattern(offset), 3 * offset), offset);
  assertEquals(await file.size(), 4 * offset);
});

testInEachDirectory("DmaFile.alignUp and alignDown round to the alignment", async (dir) => {
  await using file = await DmaFile.create(dir.file("rounded"));
  const { offset } = file.alignment;
  for (const base of [0, 5 * offset, 2 ** 40, 2 ** 52]) {
    assertEquals(file.alignUp(base), base);
    assertEquals(file.alignDown(base), base);
    assertEquals(file.alignUp(base + 1), base + offset);
    assertEquals(file.alignDown(base + 1), base);
    assertEquals(file.alignDown(base + offset - 1), base);
  }
  assertThrows(() => file.alignUp(Number.MAX_SAFE_INTEGER), RangeError);
});

testInEachDirectory("DmaFile.allocBuffer gives zeroed memory that suits writeAt", async (dir) => {
  await using file = await DmaFile.create(dir.file("buffer"));
  const { offset } = file.alignment;
  for (const length of [1, offset, offset + 1, 1_000_000]) {
    const buffer = file.allocBuffer(length);
    assertEquals(buffer.length, file.alignUp(length));
    assertEquals(buffer.bytes, new Uint8Array(buffer.length));
    assertEquals(await file.writeAt(buffer, 0), buffer.length);
  }
});

Deno.test("DmaFile.open refuses options that do not go together", async () => {
  const open = (options: Deno.OpenOptions) => () => DmaFile.open("/tmp/never", options);
  await assertRejects(open({ read: false }), TypeError, "read or write");
  for (const option of ["create", "createNew", "truncate"]) {
    await assertRejects(open({ [option]: true }), TypeError, option);
  }
});

// ---- errors ---------------------------------------------------------------------------------------------------

testInEachDirectory("DmaFile.open fails with the error that Deno.open gives", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(10));
  await Deno.mkdir(dir.file("directory"));
  await Deno.symlink("loop", dir.file("loop"));
  const cases: [string, string, Deno.OpenOptions][] = [
    ["ENOENT", dir.file("missing"), { read: true }],
    ["ENOENT", dir.file("missing/x"), { write: true, create: true }],
    ["ENOENT", "", { read: true }],
    ["ENOTDIR", dir.file("file/x"), { read: true }],
    ["ENOTDIR", dir.file("file/x"), { write: true, create: true }],
    ["EISDIR", dir.file("directory"), { read: true, write: true }],
    ["EEXIST", dir.file("file"), { write: true, createNew: true }],
    ["ELOOP", dir.file("loop"), { read: true }],
    ["ENAMETOOLONG", dir.file("n".repeat(256)), { write: true, create: true }],
    ["ENAMETOOLONG", dir.file("d/".repeat(2100) + "x"), { read: true }],
  ];
  for (const [code, path, options] of cases) {
    const ours = await failure(() => DmaFile.open(path, { read: false, ...options }));
    const theirs = await failure(() => Deno.open(path, options));
    assertEquals(ours.message, theirs.message);
    assertEquals(ours.name, theirs.name);
    assertStrictEquals(ours.constructor, theirs.constructor);
    assertEquals(ours.code, code);
    assertEquals(ours.code, theirs.code);
    assertEquals(ours.op, "open");
    assertEquals(ours.path, path);
    assert(ours.message.includes(`(os error ${ours.errno})`), ours.message);
  }
  assertEquals(descriptorsIn(dir.path), 0);
  assertEquals(await namesIn(dir.path), ["directory", "file", "loop"]);
});

testInEachDirectory(
  "A file that was opened write-only first leaves Direct I/O as it is",
  async (dir) => {
    const path = dir.file("first");
    const first = await DmaFile.open(path, { read: false, write: true, create: true });
    const second = await DmaFile.open(path);
    assertEquals(first.direct, second.direct);
    assertEquals(first.alignment, second.alignment);
    await first.close();
    await second.close();
  },
);

/** The flags of the one descriptor that leads to a file (proc_pid_fdinfo(5)). */
function flagsOf(path: string): number {
  for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) !== Deno.realPathSync(path)) continue;
    } catch {
      continue; // The descriptor of the listing itself.
    }
    return parseInt(
      /^flags:\s*(\d+)$/m.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${name}`))![1]!,
      8,
    );
  }
  throw new Error(`No descriptor leads to ${path}`);
}

testInEachDirectory(
  "An open file is not non-blocking: an older io_uring would fail its reads with EAGAIN",
  async (dir) => {
    const path = dir.file("file");
    const ways: Parameters<typeof DmaFile.open>[1][] = [
      { write: true, create: true },
      { write: true, direct: "off" },
      { direct: "off" },
      { append: true },
      {},
    ];
    for (const options of ways) {
      await using file = await DmaFile.open(path, options);
      const flags = flagsOf(path);
      assertEquals(flags & O_NONBLOCK, 0, Deno.inspect(options));
      assertEquals((flags & O_DIRECT) !== 0, file.direct);
      assertEquals((flags & O_APPEND) !== 0, options?.append === true);
    }
  },
);

testInEachDirectory("DmaFile is shown with its path", async (dir) => {
  const path = dir.file("shown");
  const file = await DmaFile.create(path);
  assert(Deno.inspect(file).includes(path));
  assert(Deno.inspect(file).includes("closed: false"));
  await file.close();
  assert(Deno.inspect(file).includes("closed: true"));
  assertEquals(descriptorsOf(path), 0);
});
