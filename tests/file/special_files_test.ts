// Only regular files open: everything else is refused by what its descriptor shows, at once and unharmed.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf } from "../support/descriptors.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { exists, hasProgram, run, runOrThrow } from "../setup/command.ts";

/** Every way to open a path that exists. */
const ways: Record<string, (path: string) => Promise<DmaFile>> = {
  "for reading": (path) => DmaFile.open(path),
  "for writing": (path) => DmaFile.open(path, { write: true }),
  "for writing only": (path) => DmaFile.open(path, { read: false, write: true }),
  "without Direct I/O": (path) => DmaFile.open(path, { write: true, direct: "off" }),
  "to create": (path) => DmaFile.create(path),
  "to truncate": (path) => DmaFile.open(path, { write: true, truncate: true, direct: "off" }),
};

/** Opens in every way. Each must fail soon with an error of one of these classes. */
async function assertRefused(
  path: string,
  ...classes: (new (message: string) => Error)[]
): Promise<void> {
  for (const [name, open] of Object.entries(ways)) {
    let timer;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("It hangs")), 5_000);
    });
    const error = await assertRejects(() => Promise.race([open(path), late]), Error);
    clearTimeout(timer);
    const wanted = classes.some((type) => error instanceof type);
    assert(wanted, `${path} opened ${name} gives ${error}`);
    assertEquals((error as Error & { path?: string }).path, path);
  }
}

const { NotSupported, IsADirectory, FilesystemLoop, PermissionDenied } = Deno.errors;

testInEachDirectory("A directory does not open", async (dir) => {
  await Deno.mkdir(dir.file("directory"));
  await Deno.writeFile(dir.file("directory/file"), pattern(100));
  await assertRefused(dir.file("directory"), IsADirectory);
  await assertRefused(dir.file("directory/"), IsADirectory);
  await assertFile(dir.file("directory/file"), pattern(100));
  assertEquals(descriptorsIn(dir.path), 0);
});

testInEachDirectory("A FIFO does not open, and nothing hangs", async (dir) => {
  const { success, output } = await run("mkfifo", [dir.file("fifo")]);
  assert(success, output);
  await assertRefused(dir.file("fifo"), NotSupported);
  assertEquals(descriptorsOf(dir.file("fifo")), 0);
});

testInEachDirectory("A FIFO with a reader or writer does not open", async (dir) => {
  const path = dir.file("fifo");
  assert((await run("mkfifo", [path])).success);
  // Reading and writing at once: opens without waiting, and serves as both ends.
  using other = await Deno.open(path, { read: true, write: true });
  await other.write(pattern(10));
  await assertRefused(path, NotSupported);
  const left = new Uint8Array(20);
  assertEquals(await other.read(left), 10);
  assertEquals(left.subarray(0, 10), pattern(10));
});

testInEachDirectory("A socket does not open", async (dir) => {
  using _listener = Deno.listen({ transport: "unix", path: dir.file("socket") });
  // ENXIO is what the kernel says: nothing is opened at all.
  await assertRefused(dir.file("socket"), Error);
});

testInEachDirectory("A loop of symbolic links does not open", async (dir) => {
  await Deno.symlink("b", dir.file("a"));
  await Deno.symlink("a", dir.file("b"));
  await assertRefused(dir.file("a"), FilesystemLoop);
  assertEquals(await namesIn(dir.path), ["a", "b"]);
});

testInEachDirectory("A symbolic link to something special does not open", async (dir) => {
  await Deno.symlink("/dev/null", dir.file("null"));
  await Deno.symlink("/proc/version", dir.file("version"));
  await Deno.symlink(".", dir.file("here"));
  await assertRefused(dir.file("null"), NotSupported);
  await assertRefused(dir.file("version"), NotSupported, PermissionDenied);
  await assertRefused(dir.file("here"), IsADirectory);
});

Deno.test({
  name: "A block device does not open",
  ignore: Deno.uid() !== 0 || !hasProgram("losetup"),
  fn: async () => {
    const path = await Deno.makeTempFile();
    await Deno.writeFile(path, pattern(1 << 20));
    const { success, output } = await run("losetup", ["--find", "--show", path]);
    try {
      assert(success, output);
      await assertRefused(output.trim(), NotSupported);
      await assertFile(path, pattern(1 << 20));
    } finally {
      if (success) await run("losetup", ["--detach", output.trim()]);
      await Deno.remove(path);
    }
  },
});

Deno.test("Character devices do not open", async () => {
  for (const path of ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"]) {
    const before = descriptorsOf(path);
    await assertRefused(path, NotSupported);
    assertEquals(descriptorsOf(path), before);
  }
});

Deno.test("Files of the kernel do not open", async () => {
  const before = await Deno.readTextFile("/sys/kernel/mm/transparent_hugepage/enabled")
    .catch(() => "");
  const paths = [
    "/proc/self/mem",
    "/proc/version",
    "/proc/self/status",
    "/proc/sys/kernel/hostname",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/uevent_seqnum",
  ];
  for (const path of paths) {
    if (exists(path)) await assertRefused(path, NotSupported, PermissionDenied);
  }
  const after = await Deno.readTextFile("/sys/kernel/mm/transparent_hugepage/enabled")
    .catch(() => "");
  assertEquals(after, before);
});

/** Mounts a file system of this type on a directory while `fn` runs. */
async function whileMounted(type: string, path: string, fn: () => Promise<void>): Promise<void> {
  await runOrThrow("mount", ["-t", type, `dma-${type}`, path]);
  await fn().finally(() => runOrThrow("umount", [path]));
}

Deno.test({
  name: "Files of the kernel do not open where they are mounted elsewhere, or after another mount",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    const path = await Deno.makeTempDir();
    try {
      for (let round = 0; round < 3; round++) {
        // The number of the first one's device is given to the second one.
        await whileMounted("tmpfs", path, async () => {
          const { dev } = await Deno.stat(path);
          await Deno.writeTextFile(`${path}/version`, "stored");
          const file = await DmaFile.open(`${path}/version`);
          assertEquals((await file.stat()).dev, dev);
          await file.close();
        });
        await whileMounted("proc", path, async () => {
          for (const name of ["version", "self/mem", "sys/kernel/hostname"]) {
            await assertRefused(`${path}/${name}`, NotSupported, PermissionDenied);
          }
        });
      }
    } finally {
      await Deno.remove(path);
    }
  },
});

Deno.test("An error says which kind of file is not a regular file", async () => {
  const { message } = await assertRejects(() => DmaFile.open("/dev/null"), NotSupported);
  assertEquals(
    message,
    "Operation not supported (os error 95): open '/dev/null': a character device is not a regular file",
  );
});

Deno.test({
  name: "A regular file below /dev opens",
  ignore: !exists("/dev/shm"),
  fn: async () => {
    const path = await Deno.makeTempFile({ dir: "/dev/shm" });
    try {
      await using file = await DmaFile.create(path);
      await file.writeAt(pattern(4096), 0);
      assertEquals(await file.readAt(0, 4096), pattern(4096));
    } finally {
      await Deno.remove(path);
    }
  },
});
