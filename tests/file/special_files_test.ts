// Only regular files open. Other files are rejected by the facts of their descriptor, at once and unchanged.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { serverIn } from "../../src/file/proc.ts";
import { exists, pause, runOrThrow, within } from "../setup/command.ts";
import { assertFile, namesIn, openPattern, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/leaks.ts";
import { testInEachDirectory, testInOneDirectory } from "../support/dirs.ts";
import { engine, replaceMethod } from "../support/engine.ts";

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
    const error = await assertRejects(() => within(60, "the open", open(path))) as DmaError;
    assert(classes.some((type) => error instanceof type), `${path} opened ${name} gives ${error}`);
    assertEquals(error.path, path);
  }
  assertEquals(descriptorsOf(path), before);
}

testInEachDirectory("A directory, a FIFO, a socket and links to them do not open", async (dir) => {
  await Deno.mkdir(dir.file("directory"));
  // From now on the file system is known.
  await (await openPattern(dir.file("directory/file"), 100)).close();
  await runOrThrow("mkfifo", [dir.file("fifo")]);
  using _listener = Deno.listen({ transport: "unix", path: dir.file("socket") });
  const links: [name: string, target: string, ...ErrorClass[]][] = [
    ["a", "b", FilesystemLoop],
    ["b", "a", FilesystemLoop],
    ["here", ".", IsADirectory],
    ["null", "/dev/null", NotSupported],
    ["version", "/proc/version", NotSupported, PermissionDenied],
  ];
  for (const [name, target] of links) await Deno.symlink(target, dir.file(name));
  const all = (await namesIn(dir.path)).length;
  for (const [name, , ...classes] of links) await assertRefused(dir.file(name), ...classes);
  await assertRefused(dir.file("directory"), IsADirectory);
  await assertRejects(() => DmaFile.open(dir.file("directory/")), IsADirectory);
  await assertRefused(dir.file("socket"), Error);
  // A FIFO is not opened: without another end that could hang, and a program that waits for it would write.
  const shell = (script: string) => runOrThrow("sh", ["-c", script, dir.file("fifo")]);
  await assertRefused(dir.file("fifo"), NotSupported);
  const runNow = engine.runNow.bind(engine);
  // A kernel before 5.12, and some sandboxes, do not tell what is in memory.
  for (const refusal of [0, -Errno.EINVAL]) {
    const writing = shell("echo text | timeout 60 tee $0");
    await pause(100);
    using _ = replaceMethod("runNow", (each) => {
      const isLook = each.op === "stat" && each.name !== "";
      return isLook && refusal < 0 ? refusal : runNow(each);
    });
    await assertRefused(dir.file("fifo"), NotSupported);
    assertEquals([await shell("timeout 60 cat $0"), await writing], ["text", "text"]);
  }
  await assertFile(dir.file("directory/file"), pattern(100));
  assertEquals((await namesIn(dir.path)).length, all);
});

Deno.test("Devices and files of the kernel do not open, and the error names the type", async () => {
  for (const path of ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"]) {
    await assertRefused(path, NotSupported);
  }
  const { message } = await assertRejects(() => DmaFile.open("/dev/null"), NotSupported);
  const kind = "a character device is not a regular file";
  assertEquals(message, `Operation not supported (os error 95): open '/dev/null': ${kind}`);
  const kernel = ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/uevent_seqnum"];
  const ofProc = ["self/mem", "self/ns/mnt", "self/status", "sys/kernel/hostname"];
  for (const path of [...kernel, ...ofProc.map((name) => `/proc/${name}`)].filter(exists)) {
    await assertRefused(path, NotSupported, PermissionDenied);
  }
  const atomic = () => DmaFile.create("/proc/new", { atomic: true });
  await assertRejects(atomic, NotSupported, "a kernel file");
});

testInOneDirectory("Files of the kernel do not open at other mount points", async (dir) => {
  const path = dir.path;
  /** Mounts a file system of this type on the directory while `fn` runs. */
  const whileMounted = async (type: string, fn: () => Promise<void>) => {
    await runOrThrow("mount", ["-t", type, `dma-${type}`, path]);
    await fn().finally(() => runOrThrow("umount", [path]));
  };
  for (let round = 0; round < 3; round++) {
    // The second mount reuses the device number of the first one.
    await whileMounted("tmpfs", async () => {
      await Deno.writeTextFile(`${path}/version`, "stored");
      await using file = await DmaFile.open(`${path}/version`);
      assertEquals((await file.stat()).dev, (await Deno.stat(path)).dev);
    });
    await whileMounted("proc", async () => {
      for (const name of ["version", "self/mem", "sys/kernel/hostname"]) {
        await assertRefused(`${path}/${name}`, NotSupported, PermissionDenied);
      }
    });
  }
}, { needs: ["root"] });

Deno.test("The server of a FUSE file system is found in the kernel's list of mounts", () => {
  const mounts = [
    "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
    "50 27 0:44 / /tmp/a\\040-\\040b rw shared:2 master:1 - fuse.sshfs nobody:/d rw,user_id=0",
    "62 27 0:52 / /mnt/moose rw - fuse mfs\\04310.99.0.1:9421 rw,user_id=0",
    "63 27 0:53 / /mnt/bind rw - fuse /data rw,user_id=0",
    "64 27 7:0 / /mnt/ntfs rw - fuseblk /dev/loop0 rw,user_id=0",
    "",
  ].join("\n");
  const devices = ["0:44", "0:52", "0:53", "7:0", "0:4"];
  const servers = devices.map((device) => serverIn(mounts, device));
  assertEquals(servers, ["sshfs", "mfs", "/data", "/dev/loop0", undefined]);
});
