// Only regular files open. Other files are rejected by the facts of their descriptor, at once and unchanged.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile } from "../../mod.ts";
import { exists, hasProgram, run, runOrThrow } from "../setup/command.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { descriptorsIn, descriptorsOf } from "../support/descriptors.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import "../support/engine.ts";

const { NotSupported, IsADirectory, FilesystemLoop, PermissionDenied } = Deno.errors;

/** Every way to open a path that exists. */
const ways: Record<string, (path: string) => Promise<DmaFile>> = {
  "for reading": (path) => DmaFile.open(path),
  "for writing": (path) => DmaFile.open(path, { write: true }),
  "for writing only": (path) => DmaFile.open(path, { read: false, write: true }),
  "without Direct I/O": (path) => DmaFile.open(path, { write: true, direct: "off" }),
  "to create": (path) => DmaFile.create(path),
  "to truncate": (path) => DmaFile.open(path, { write: true, truncate: true, direct: "off" }),
};

type ErrorClass = new (message: string) => Error;

/** Opens in every way. Each must fail soon with an error of one of these classes, and leave no descriptor. */
async function assertRefused(path: string, ...classes: ErrorClass[]): Promise<void> {
  const before = descriptorsOf(path);
  for (const [name, open] of Object.entries(ways)) {
    let timer;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("It hangs")), 5_000);
    });
    const error = await assertRejects(() => Promise.race([open(path), late])) as DmaError;
    clearTimeout(timer);
    const wanted = classes.some((type) => error instanceof type);
    assert(wanted, `${path} opened ${name} gives ${error}`);
    assertEquals(error.path, path);
  }
  assertEquals(descriptorsOf(path), before);
}

testInEachDirectory("A directory does not open", async (dir) => {
  await Deno.mkdir(dir.file("directory"));
  await Deno.writeFile(dir.file("directory/file"), pattern(100));
  await assertRefused(dir.file("directory"), IsADirectory);
  await assertRejects(() => DmaFile.open(dir.file("directory/")), IsADirectory);
  await assertFile(dir.file("directory/file"), pattern(100));
  assertEquals(descriptorsIn(dir.path), 0);
});

testInEachDirectory("A FIFO does not open, nor hang, with or without a reader", async (dir) => {
  const path = dir.file("fifo");
  await runOrThrow("mkfifo", [path]);
  await assertRefused(path, NotSupported);
  // Opened for reading and writing, a FIFO does not wait and serves as both ends.
  using other = await Deno.open(path, { read: true, write: true });
  await other.write(pattern(10));
  await assertRefused(path, NotSupported);
  const left = new Uint8Array(20);
  assertEquals(await other.read(left), 10);
  assertEquals(left.subarray(0, 10), pattern(10));
});

testInEachDirectory("A socket does not open", async (dir) => {
  using _listener = Deno.listen({ transport: "unix", path: dir.file("socket") });
  // The kernel returns ENXIO, and opens nothing.
  await assertRefused(dir.file("socket"), Error);
});

testInEachDirectory("A symbolic link to nothing regular does not open", async (dir) => {
  const links: [name: string, target: string, ...ErrorClass[]][] = [
    ["a", "b", FilesystemLoop],
    ["b", "a", FilesystemLoop],
    ["here", ".", IsADirectory],
    ["null", "/dev/null", NotSupported],
    ["version", "/proc/version", NotSupported, PermissionDenied],
  ];
  for (const [name, target] of links) await Deno.symlink(target, dir.file(name));
  for (const [name, , ...classes] of links) await assertRefused(dir.file(name), ...classes);
  assertEquals(await namesIn(dir.path), links.map(([name]) => name));
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

Deno.test("A character device does not open, and the error names its type", async () => {
  for (const path of ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"]) {
    await assertRefused(path, NotSupported);
  }
  const { message } = await assertRejects(() => DmaFile.open("/dev/null"), NotSupported);
  const kind = "a character device is not a regular file";
  assertEquals(message, `Operation not supported (os error 95): open '/dev/null': ${kind}`);
});

Deno.test("Files of the kernel do not open", async () => {
  const setting = "/sys/kernel/mm/transparent_hugepage/enabled";
  const before = await Deno.readTextFile(setting).catch(() => "");
  const paths = [
    "/proc/self/mem",
    "/proc/version",
    "/proc/self/status",
    "/proc/sys/kernel/hostname",
    setting,
    "/sys/kernel/uevent_seqnum",
  ];
  for (const path of paths.filter(exists)) {
    await assertRefused(path, NotSupported, PermissionDenied);
  }
  assertEquals(await Deno.readTextFile(setting).catch(() => ""), before);
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
        // The second one reuses the device number of the first one.
        await whileMounted("tmpfs", path, async () => {
          const { dev } = await Deno.stat(path);
          await Deno.writeTextFile(`${path}/version`, "stored");
          await using file = await DmaFile.open(`${path}/version`);
          assertEquals((await file.stat()).dev, dev);
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
