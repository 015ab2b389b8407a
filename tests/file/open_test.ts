// DmaFile.open and create: the options, their effects on a file, and Deno's own errors.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { type DmaError, DmaFile, type DmaOpenOptions } from "../../mod.ts";
import { Errno, O_APPEND, O_CREAT, O_DIRECT, O_EXCL, O_NONBLOCK } from "../../src/engine/linux.ts";
import { run, runOrThrow } from "../setup/command.ts";
import { assertFile, assertNoFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf } from "../support/descriptors.ts";
import { isOnDisk, type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { replaceMethod } from "../support/engine.ts";
import { fail, interpose } from "../support/interpose.ts";

const { AlreadyExists, BadResource, NotSupported } = Deno.errors;

async function failure(work: () => Promise<unknown>): Promise<DmaError> {
  return await assertRejects(work, Error) as DmaError;
}

// ---- access -----------------------------------------------------------------------------------------------------

testInEachDirectory("DmaFile.open reads only, by default", async (dir) => {
  const path = dir.file("read");
  await Deno.writeFile(path, pattern(5000));
  await using file = await DmaFile.open(path);
  const { code, op, path: named } = await failure(() => file.writeAt(file.allocBuffer(4096), 0));
  assertEquals([code, op, named], ["EBADF", "write", path]);
  const writes = [
    () => file.writeAt(file.allocBuffer(4096), 0),
    () => file.truncate(0),
    () => file.preallocate(8192),
    () => file.deallocate(0, 4096),
  ];
  for (const write of writes) await assertRejects(write, BadResource, "opened without write");
  assertThrows(() => file.writable, TypeError, "opened without write");
  await assertFile(path, pattern(5000));
});

testInEachDirectory("DmaFile.open without read refuses to read", async (dir) => {
  const path = dir.file("write");
  await Deno.writeFile(path, pattern(5000));
  await using file = await DmaFile.open(path, { read: false, write: true });
  await using other = await DmaFile.open(path);
  assertEquals([file.direct, file.alignment], [other.direct, other.alignment]);
  assertEquals((await failure(() => file.readAt(0, 10))).code, "EBADF");
  for (const read of [() => file.readAt(0, 10), () => file.readAtAligned(0, 4096)]) {
    await assertRejects(read, BadResource, "opened without read");
  }
  assertThrows(() => file.readable, BadResource, "Bad file descriptor (os error 9): read '");
  assertEquals(await file.size(), 5000);
  assertEquals(await file.writeAt(file.allocBuffer(4096), 0), 4096);
});

Deno.test("DmaFile.open refuses options that do not go together", async () => {
  const open = (options: Deno.OpenOptions) => () => DmaFile.open("/tmp/never", options);
  await assertRejects(open({ read: false }), TypeError, "read or write");
  for (const option of ["create", "createNew", "truncate"]) {
    await assertRejects(open({ [option]: true }), TypeError, option);
  }
});

/** The flags of the one descriptor that leads to a file (proc_pid_fdinfo(5)). */
function flagsOf(path: string): number {
  for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) !== Deno.realPathSync(path)) continue;
    } catch {
      continue; // The descriptor of the listing itself.
    }
    const facts = Deno.readTextFileSync(`/proc/self/fdinfo/${name}`);
    return parseInt(/^flags:\s*(\d+)$/m.exec(facts)![1]!, 8);
  }
  throw new Error(`No descriptor leads to ${path}`);
}

testInEachDirectory("A descriptor has the flags that matter, not O_NONBLOCK", async (dir) => {
  const path = dir.file("file");
  const ways: DmaOpenOptions[] = [
    { write: true, create: true },
    { write: true, direct: "off" },
    { direct: "off" },
    { append: true },
    {},
  ];
  for (const options of ways) {
    await using file = await DmaFile.open(path, options);
    const flags = flagsOf(path);
    // An older io_uring would fail reads with EAGAIN.
    assertEquals(flags & O_NONBLOCK, 0, Deno.inspect(options));
    assertEquals((flags & O_DIRECT) !== 0, file.direct);
    assertEquals((flags & O_APPEND) !== 0, options.append === true);
  }
});

// ---- what becomes of the file -------------------------------------------------------------------------------------

testInEachDirectory("A file is emptied by create and by truncate only", async (dir) => {
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
  await Deno.writeFile(dir.file("old"), pattern(5000), { mode: 0o640 });
  await using file = await DmaFile.create(dir.file("old"), { mode: 0o600 });
  assertEquals([await file.size(), (await file.stat()).mode! & 0o777], [0, 0o640]);
});

testInEachDirectory("DmaFile.open with createNew fails if the file exists", async (dir) => {
  const path = dir.file("new");
  await (await DmaFile.open(path, { write: true, createNew: true })).close();
  await Deno.writeFile(path, pattern(100));
  await Deno.symlink(dir.file("nowhere"), dir.file("link"));
  const options = { write: true, createNew: true, truncate: true };
  for (const name of ["new", "link"]) {
    await assertRejects(() => DmaFile.open(dir.file(name), options), AlreadyExists);
  }
  await assertFile(path, pattern(100));
  await assertNoFile(dir.file("nowhere"));
});

testInEachDirectory("A file that is created at the last moment is emptied", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, pattern(100));
  // The file exists, is removed, and exists again with content.
  const answers = [Errno.EEXIST, Errno.ENOENT];
  using _ = interpose("open", ({ operation, pass, end }) => {
    const answer = operation.name === "file" ? answers.shift() : undefined;
    if (answer) end(-answer);
    else pass();
  });
  await using file = await DmaFile.create(path);
  assertEquals([await file.size(), answers], [0, []]);
});

testInEachDirectory("DmaFile.create follows a symbolic link, also one to nothing", async (dir) => {
  await Deno.symlink("target", dir.file("link"));
  for (const bytes of [pattern(4096), new Uint8Array()]) {
    await using file = await DmaFile.create(dir.file("link"));
    await file.writeAt(bytes, 0);
    await assertFile(dir.file("target"), bytes);
  }
  assert((await Deno.lstat(dir.file("link"))).isSymlink);
});

testInEachDirectory("DmaFile.create gives a new file its mode, less the umask", async (dir) => {
  const umask = Deno.umask(0o027);
  try {
    for (
      const [options, expected] of [
        [{}, 0o640],
        [{ mode: 0o777 }, 0o750],
        [{ mode: 0o400 }, 0o400],
        [{ mode: 0o104_777 }, 0o750],
        [{ atomic: true }, 0o640],
      ] as const
    ) {
      const path = dir.file(Deno.inspect(options));
      await (await DmaFile.create(path, options)).close();
      assertEquals((await Deno.stat(path)).mode! & 0o7777, expected, path);
    }
  } finally {
    Deno.umask(umask);
  }
});

testInEachDirectory("A file that the kernel would not open to create stays", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, pattern(100));
  await Deno.chmod(dir.path, 0o1777);
  // As with fs.protected_regular (proc_sys_fs(5)) in a sticky directory, if the file is another user's.
  const creates = ({ flags }: { flags: number }) =>
    (flags & O_CREAT) !== 0 && (flags & O_EXCL) === 0;
  using opening = fail("open", Errno.EACCES, creates);
  const ways = [
    () => DmaFile.open(path, { write: true, create: true, truncate: true }),
    () => DmaFile.open(path, { write: true, create: true }),
    () => DmaFile.create(path),
  ];
  for (const way of ways) {
    await assertRejects(way, Deno.errors.PermissionDenied, `open '${path}'`);
  }
  await assertFile(path, pattern(100));
  await (await DmaFile.open(path, { write: true })).close();
  assert(opening.count > 0);
});

/** A file in a sticky directory. `replace` is called at the second open, which existing files there need. */
async function whileOpening(
  dir: TestDirectory,
  replace: (path: string) => void,
): Promise<Disposable> {
  const path = dir.file("file");
  await Deno.writeFile(path, pattern(100));
  await Deno.chmod(dir.path, 0o1777);
  return interpose("open", ({ operation: { flags }, pass }) => {
    if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) === 0) replace(path);
    pass();
  });
}

testInEachDirectory("A file that disappears during an open is created again", async (dir) => {
  const path = dir.file("file");
  using _ = await whileOpening(dir, Deno.removeSync);
  await using file = await DmaFile.create(path, { mode: 0o640 });
  await file.writeAt(pattern(4096), 0);
  await assertFile(path, pattern(4096));
  assertEquals((await Deno.stat(path)).mode! & 0o777, 0o640);
});

testInEachDirectory("A FIFO that comes while a file is opened to create stays", async (dir) => {
  const path = dir.file("file");
  await runOrThrow("mkfifo", [dir.file("fifo")]);
  using _ = await whileOpening(dir, (path) => Deno.renameSync(dir.file("fifo"), path));
  await assertRejects(() => DmaFile.create(path), NotSupported, "a FIFO is not a regular file");
  assert((await Deno.lstat(path)).isFifo);
});

// ---- Direct I/O ---------------------------------------------------------------------------------------------------

const hasAlways = ["ext4", "xfs", "btrfs"];
const noAlignment = { memory: 4096, offset: 4096 };

testInEachDirectory('direct "off" goes through the page cache', async (dir) => {
  await using file = await DmaFile.create(dir.file("cached"), { direct: "off" });
  assertEquals([file.direct, { ...file.alignment }], [false, noAlignment]);
  await file.writeAt(pattern(8192), 0);
  assertEquals(await file.readAt(100, 5000), pattern(5000, 100));
});

testInEachDirectory('direct "require" has Direct I/O', async (dir) => {
  await using file = await DmaFile.create(dir.file("direct"), { direct: "require" });
  assertEquals(file.direct, true);
}, { where: ({ fileSystem }) => hasAlways.includes(fileSystem) });

testInEachDirectory('direct "require" fails in memory, and harms nothing', async (dir) => {
  await Deno.writeFile(dir.file("old"), pattern(5000));
  for (const name of ["old", "new"]) {
    const creating = () => DmaFile.create(dir.file(name), { direct: "require" });
    await assertRejects(creating, NotSupported);
  }
  await assertFile(dir.file("old"), pattern(5000));
  assertEquals([await namesIn(dir.path), descriptorsIn(dir.path)], [["old"], 0]);
  await using file = await DmaFile.create(dir.file("old"));
  assertEquals(file.direct, false);
}, { where: ({ fileSystem }) => fileSystem === "tmpfs" });

/** A file system that refuses O_DIRECT. `before` is called first. */
function withoutDirect(before: () => void = () => {}): Disposable {
  return replaceMethod("setFlags", () => {
    before();
    return -Errno.EINVAL;
  });
}

testInEachDirectory("A link to nothing stays if the file it makes is refused", async (dir) => {
  await Deno.symlink("target", dir.file("link"));
  using _ = withoutDirect();
  const creating = () => DmaFile.create(dir.file("link"), { direct: "require" });
  await assertRejects(creating, NotSupported);
  assertEquals([await namesIn(dir.path), descriptorsIn(dir.path)], [["link"], 0]);
});

testInEachDirectory("A file that is refused stays if another program wrote to it", async (dir) => {
  await Deno.symlink("target", dir.file("link"));
  for (const [name, made] of [["file", "file"], ["link", "target"]] as const) {
    using _ = withoutDirect(() => Deno.writeFileSync(dir.file(made), pattern(9)));
    const creating = () => DmaFile.create(dir.file(name), { direct: "require" });
    await assertRejects(creating, NotSupported);
    await assertFile(dir.file(made), pattern(9));
  }
});

testInEachDirectory("direct is false without Direct I/O, even if O_DIRECT opens", async (dir) => {
  const path = dir.file("journaled");
  await Deno.writeFile(path, new Uint8Array());
  // ext4 journals the data of this file, so it has no Direct I/O.
  if (!(await run("chattr", ["+j", path])).success) return;
  const opening = () => DmaFile.open(path, { write: true, direct: "require" });
  await assertRejects(opening, NotSupported, "no Direct I/O");
  await using file = await DmaFile.open(path, { write: true });
  assertEquals([file.direct, { ...file.alignment }], [false, noAlignment]);
  await file.writeAt(pattern(4096), 0);
  await assertFile(path, pattern(4096));
}, { where: ({ fileSystem }) => fileSystem === "ext4", ignore: Deno.uid() !== 0 });

testInEachDirectory("DmaFile.alignment is a block of the file system at least", async (dir) => {
  await using file = await DmaFile.create(dir.file("aligned"));
  const { memory, offset } = file.alignment;
  for (const value of [memory, offset]) {
    assert(value > 0 && value <= 65536 && Number.isInteger(Math.log2(value)), `${value}`);
  }
  if (isOnDisk(dir)) assertEquals(offset, Deno.statSync(file.path).blksize);
  if (!file.direct) assertEquals({ ...file.alignment }, noAlignment);
  // The kernel accepts the smallest reported write.
  assertEquals(await file.writeAt(pattern(offset), 3 * offset), offset);
  assertEquals(await file.size(), 4 * offset);
});

testInEachDirectory("Positions and buffers are rounded to the alignment", async (dir) => {
  await using file = await DmaFile.create(dir.file("rounded"));
  const { offset } = file.alignment;
  for (const base of [0, 5 * offset, 2 ** 40, 2 ** 52]) {
    const values = [base, base + 1, base + offset - 1];
    assertEquals(values.map((value) => file.alignUp(value)), [base, base + offset, base + offset]);
    assertEquals(values.map((value) => file.alignDown(value)), [base, base, base]);
  }
  assertThrows(() => file.alignUp(Number.MAX_SAFE_INTEGER), RangeError);
  for (const length of [0, 2 ** 31, 2 ** 32 + 4096]) {
    assertThrows(() => file.allocBuffer(length), RangeError, "Invalid length");
  }
  for (const length of [1, offset, offset + 1, 1_000_000]) {
    const buffer = file.allocBuffer(length);
    assertEquals(buffer.length, file.alignUp(length));
    assertEquals(buffer.bytes, filled(buffer.length, 0));
    assertEquals(await file.writeAt(buffer, 0), buffer.length);
  }
});

// ---- errors, and what is shown ------------------------------------------------------------------------------------

testInEachDirectory("DmaFile.open fails with the error that Deno.open gives", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(10));
  await Deno.mkdir(dir.file("directory"));
  await Deno.symlink("loop", dir.file("loop"));
  const cases: [code: string, path: string, options: Deno.OpenOptions][] = [
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
    // A regular expression for the slashes at the end of a path would take minutes.
    ["ENAMETOOLONG", dir.file("/".repeat(1e6) + "x"), { read: true }],
  ];
  for (const [code, path, options] of cases) {
    const ours = await failure(() => DmaFile.open(path, { read: false, ...options }));
    const theirs = await failure(() => Deno.open(path, options));
    assertStrictEquals(ours.constructor, theirs.constructor);
    assertEquals([ours.message, ours.name], [theirs.message, theirs.name]);
    assertEquals([ours.code, theirs.code, ours.op, ours.path], [code, code, "open", path]);
    assert(ours.message.includes(`(os error ${ours.errno})`), ours.message);
  }
  assertEquals(descriptorsIn(dir.path), 0);
  assertEquals(await namesIn(dir.path), ["directory", "file", "loop"]);
});

testInEachDirectory("DmaFile is shown with its path", async (dir) => {
  const file = await DmaFile.create(dir.file("shown"));
  for (const closed of [false, true]) {
    for (const part of [file.path, `closed: ${closed}`]) assert(Deno.inspect(file).includes(part));
    await file.close();
  }
  assertEquals(descriptorsOf(file.path), 0);
});
