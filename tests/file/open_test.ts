// DmaFile.open and create: the options, their effects on a file, and Deno's own errors.

import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { DmaBuffer, type DmaError, DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { descriptorNumber } from "../../src/dma_file.ts";
import { Errno, O_APPEND, O_CREAT, O_DIRECT, O_EXCL, O_NONBLOCK } from "../../src/engine/linux.ts";
import { lines, run, runOrThrow, start } from "../setup/command.ts";
import { assertFile, assertNoFile, namesIn, openPattern, pattern } from "../support/bytes.ts";
import { descriptorsIn } from "../support/leaks.ts";
import { isOnDisk, testInEachDirectory, testInOneDirectory } from "../support/dirs.ts";
import { alter, engine, fail, interpose, replaceMethod, watch } from "../support/engine.ts";
import { closeWith } from "../writer/create.ts";

const { AlreadyExists, BadResource, NotSupported, PermissionDenied } = Deno.errors;

testInOneDirectory("An open waits for the holder of a lease", async (dir) => {
  await using old = await openPattern(dir.file("file"), 5000);
  await old.close();
  // F_SETLEASE, F_WRLCK (fcntl(2)). The kernel sends SIGIO when another open needs the file.
  const script = `open F, "+<", shift; $SIG{IO} = sub { sleep 1; exit };
    fcntl F, 1024, 1 or die $!; $| = 1; print "held\\n"; sleep 9 while 1`;
  await using holder = start("perl", ["-e", script, old.path], { stderr: "null" });
  for await (const _ of lines(holder.stdout)) break;
  await (await DmaFile.open(old.path, { write: true })).close();
}, { needs: ["perl"] });

testInOneDirectory("A file is read and written only as it was opened", async (_dir, path) => {
  await using reads = await openPattern(path, 5000);
  await assertRejects(() => reads.truncate(0), BadResource, "opened without write");
  assertThrows(() => reads.writable, TypeError, "opened without write");
  await using writes = await DmaFile.open(path, { read: false, write: true });
  assertEquals([writes.direct, writes.alignment], [reads.direct, reads.alignment]);
  const { code, op, path: named } = await assertRejects(() => writes.readAt(0, 1)) as DmaError;
  assertEquals([code, op, named], ["EBADF", "read", path]);
  assertThrows(() => writes.readable, BadResource, "Bad file descriptor (os error 9): read '");
  assertEquals(await writes.size(), 5000);
  // Options that do not go together.
  await assertRejects(() => DmaFile.open(path, { read: false }), TypeError, "read or write");
  for (const option of ["create", "createNew", "truncate"]) {
    await assertRejects(() => DmaFile.open(path, { [option]: true }), TypeError, option);
  }
});

testInEachDirectory("A file that the kernel has in memory is opened at once", async (dir) => {
  await using file = await openPattern(dir.file("file"), 5000);
  const { submissions } = engine.counters;
  await (await DmaFile.open(file.path)).close();
  assertEquals(engine.counters.submissions, submissions);
}, { where: ({ fileSystem }) => fileSystem === "ext4" || fileSystem === "xfs" });

testInEachDirectory("A descriptor has the flags that matter, not O_NONBLOCK", async (dir) => {
  const cached = { direct: "off" } as const;
  const ways = [{ write: true, create: true }, { write: true, ...cached }, cached, {}];
  for (const options of [...ways, { append: true }]) {
    await using file = await DmaFile.open(dir.file("file"), options);
    const facts = Deno.readTextFileSync(`/proc/self/fdinfo/${descriptorNumber(file)}`);
    const flags = parseInt(/^flags:\s*(\d+)$/m.exec(facts)![1]!, 8);
    // An older io_uring would fail reads with EAGAIN.
    assertEquals(flags & O_NONBLOCK, 0, Deno.inspect(options));
    assertEquals((flags & O_DIRECT) !== 0, file.direct);
    assertEquals((flags & O_APPEND) !== 0, "append" in options);
  }
});

testInEachDirectory("A file is emptied by create and by truncate only", async (dir) => {
  // Links are followed, also one to nothing.
  await Deno.symlink("target", dir.file("link"));
  const [emptied, kept] = [{ create: true, truncate: true }, {}];
  for (const options of [emptied, kept, { create: true }, emptied, { truncate: true }]) {
    await using file = await DmaFile.open(dir.file("link"), { write: true, ...options });
    assertEquals(await file.size(), "truncate" in options ? 0 : 4096);
    await file.writeAt(pattern(4096), 0);
  }
  assert((await Deno.lstat(dir.file("link"))).isSymlink);
  await assertFile(dir.file("target"), pattern(4096));
  // createNew follows none.
  await Deno.symlink(dir.file("nowhere"), dir.file("dangling"));
  const options = { write: true, createNew: true, truncate: true };
  await assertRejects(() => DmaFile.open(dir.file("dangling"), options), AlreadyExists);
  await assertNoFile(dir.file("nowhere"));
});

testInEachDirectory("DmaFile.create gives a new file its mode, less the umask", async (dir) => {
  const umask = Deno.umask(0o027);
  using _ = { [Symbol.dispose]: () => Deno.umask(umask) };
  await Deno.writeFile(dir.file("old"), pattern(5000), { mode: 0o604 });
  const cases = [
    ["usual", {}, 0o640],
    ["all", { mode: 0o104_777 }, 0o750],
    ["less", { mode: 0o400 }, 0o400],
    ["atomic", { atomic: true }, 0o640],
    ["old", { mode: 0o666 }, 0o604],
  ] as const;
  for (const [name, options, expected] of cases) {
    await (await DmaFile.create(dir.file(name), options)).close();
    assertEquals((await Deno.stat(dir.file(name))).mode! & 0o7777, expected, name);
  }
});

testInEachDirectory("A file that is created at the last moment is emptied", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(100));
  // The file exists, is removed, and exists again with content.
  const answers = [Errno.EEXIST, Errno.ENOENT];
  using _ = interpose("open", ({ operation, pass, end }) => {
    const answer = operation.name === "file" ? answers.shift() : undefined;
    if (answer) end(-answer);
    else pass();
  });
  await using file = await DmaFile.create(dir.file("file"));
  assertEquals([await file.size(), answers], [0, []]);
});

testInEachDirectory("In a sticky directory O_CREAT opens an existing file", async (dir, path) => {
  // An open file holds the directory with the mode of that time.
  await using _held = await openPattern(path, 100);
  await Deno.chmod(dir.path, 0o1777);
  {
    const opens: number[] = [];
    using _ = watch("open", ({ flags, name }) => {
      if (name === "file") opens.push(flags & (O_CREAT | O_EXCL));
    });
    await (await DmaFile.open(path, { write: true, create: true })).close();
    // Once: programs that watch the file see each close after an open for writing (IN_CLOSE_WRITE in inotify(7)).
    assertEquals(opens, [O_CREAT | O_EXCL, O_CREAT]);
  }
  /** Calls `before` before that open. */
  const again = (before: () => void) =>
    watch("open", ({ flags }) => {
      if ((flags & (O_CREAT | O_EXCL)) === O_CREAT) before();
    });
  {
    // As with fs.protected_regular (proc_sys_fs(5)), if the file is another user's.
    using _ = fail("open", Errno.EACCES, ({ flags }) => (flags & (O_CREAT | O_EXCL)) === O_CREAT);
    for (const truncate of [true, false]) {
      const opening = () => DmaFile.open(path, { write: true, create: true, truncate });
      await assertRejects(opening, PermissionDenied, `open '${path}'`);
    }
    await assertFile(path, pattern(100));
    await (await DmaFile.open(path, { write: true })).close();
  }
  {
    using _ = again(() => Deno.removeSync(path));
    await using file = await DmaFile.create(path, { mode: 0o640 });
    await file.writeAt(pattern(4096), 0);
    await assertFile(path, pattern(4096));
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o640);
  }
  await runOrThrow("mkfifo", [dir.file("fifo")]);
  using _ = again(() => Deno.renameSync(dir.file("fifo"), path));
  await assertRejects(() => DmaFile.create(path), NotSupported, "a FIFO is not a regular file");
  assert((await Deno.lstat(path)).isFifo);
});

const noAlignment = { memory: 4096, offset: 4096 };

testInEachDirectory('direct "off" goes through the page cache, "require" past it', async (dir) => {
  using _ = replaceMethod("pageSize", 65536);
  await using file = await DmaFile.create(dir.file("cached"), { direct: "off" });
  assertEquals([file.direct, { ...file.alignment }], [false, noAlignment]);
  await file.writeAt(pattern(8192), 0);
  assertEquals(await file.readAt(100, 5000), pattern(5000, 100));
  if (!["ext4", "xfs", "btrfs"].includes(dir.fileSystem)) return;
  await using direct = await DmaFile.create(dir.file("direct"), { direct: "require" });
  assertEquals(direct.direct, true);
});

/** A file system or a sandbox that refuses to set flags, after a call of `before`. */
const withoutDirect = (before = () => {}) =>
  replaceMethod("setFlags", () => (before(), -Errno.EINVAL));

testInEachDirectory('direct "require" that is refused harms nothing', async (dir) => {
  await Deno.writeFile(dir.file("old"), pattern(5000));
  await Deno.symlink("target", dir.file("link"));
  const create = (name: string) => () => DmaFile.create(dir.file(name), { direct: "require" });
  {
    // tmpfs refuses it by itself.
    using _ = dir.fileSystem === "tmpfs" ? undefined : withoutDirect();
    for (const name of ["old", "new", "link"]) await assertRejects(create(name), NotSupported);
    await assertFile(dir.file("old"), pattern(5000));
    assertEquals([await namesIn(dir.path), descriptorsIn(dir.path)], [["link", "old"], 0]);
    await using file = await DmaFile.create(dir.file("old"));
    assertEquals(file.direct, false);
  }
  // A new file stays if another program wrote to it.
  for (const [name, made] of [["file", "file"], ["link", "target"]] as const) {
    using _ = withoutDirect(() => Deno.writeFileSync(dir.file(made), pattern(9)));
    await assertRejects(create(name), NotSupported);
    await assertFile(dir.file(made), pattern(9));
  }
});

testInEachDirectory("direct is false without Direct I/O, even with O_DIRECT", async (_, path) => {
  await Deno.writeFile(path, new Uint8Array());
  // ext4 journals the data of this file, so it has no Direct I/O. That takes a capability, without which it is pretended.
  const { success } = await run("chattr", ["+j", path]);
  using _isUnknown = replaceMethod("deviceOf", () => undefined);
  using _facts = alter("stat", ({ memory: { bytes } }) => {
    if (!success) bytes.fill(0, 152, 160);
  });
  const options = { write: true, direct: "require" } as const;
  await assertRejects(() => DmaFile.open(path, options), NotSupported, "no Direct I/O");
  await using file = await DmaFile.open(path, { write: true });
  assertEquals([file.direct, { ...file.alignment }], [false, noAlignment]);
  await file.writeAt(pattern(4096), 0);
  await assertFile(path, pattern(4096));
}, { where: ({ fileSystem }) => fileSystem === "ext4" });

testInOneDirectory("Blocks of 1,024 bytes are written as whole pages", async (dir) => {
  using _isUnknown = replaceMethod("deviceOf", () => undefined);
  using _facts = alter("stat", ({ memory: { bytes } }) => bytes.set([0, 4, 0, 0], 4));
  for (const pageSize of [4096, 65536]) {
    using _pages = replaceMethod("pageSize", pageSize);
    await using file = await DmaFile.create(dir.file("file"));
    assertEquals(file.alignment.offset, pageSize);
    const writer = new DmaStreamWriter(file);
    await writer.write(pattern(100_001));
    await closeWith(writer, pattern(100_001));
  }
});

testInEachDirectory("Positions and buffers are rounded to the alignment", async (dir) => {
  await using file = await DmaFile.create(dir.file("aligned"));
  const { memory, offset } = file.alignment;
  for (const value of [memory, offset]) {
    assert(value > 0 && value <= 65536 && Number.isInteger(Math.log2(value)), `${value}`);
  }
  // A block of the file system at least, and a page.
  const { blksize } = Deno.statSync(file.path);
  if (isOnDisk(dir)) assertEquals(offset, Math.max(engine.pageSize, blksize!));
  if (!file.direct) assertEquals({ ...file.alignment }, noAlignment);
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
    assertEquals(buffer.bytes, new Uint8Array(buffer.length));
    assertEquals(await file.writeAt(buffer, 3 * offset), buffer.length);
    assertEquals(await file.size(), 3 * offset + buffer.length);
  }
});

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
  const failed = async (opening: Promise<unknown>) =>
    await assertRejects(() => opening, Error) as DmaError;
  for (const [code, path, options] of cases) {
    const ours = await failed(DmaFile.open(path, { read: false, ...options }));
    const theirs = await failed(Deno.open(path, options));
    assertStrictEquals(ours.constructor, theirs.constructor);
    assertEquals([ours.message, ours.name], [theirs.message, theirs.name]);
    assertEquals([ours.code, theirs.code, ours.op, ours.path], [code, code, "open", path]);
    assert(ours.message.includes(`(os error ${ours.errno})`), ours.message);
  }
  assertEquals(descriptorsIn(dir.path), 0);
  assertEquals(await namesIn(dir.path), ["directory", "file", "loop"]);
});

testInOneDirectory("Files, readers and prototypes are shown", async (dir) => {
  for (const shown of [DmaFile, DmaBuffer, DmaStreamReader, DmaStreamWriter]) {
    assertEquals(Deno.inspect(shown.prototype), `${shown.name} {}`);
  }
  const file = await DmaFile.create(dir.file("shown"));
  assert(Deno.inspect(new DmaStreamReader(file, { start: 7 })).includes("currentPos: 7"));
  for (const closed of [false, true]) {
    for (const part of [file.path, `closed: ${closed}`]) assert(Deno.inspect(file).includes(part));
    await file.close();
  }
});
