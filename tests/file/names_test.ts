// A path is resolved at the call: later changes of it or of the working directory change neither file nor directory.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile } from "../../mod.ts";
import { O_DIRECTORY, O_PATH } from "../../src/engine/linux.ts";
import type { Operation } from "../../src/engine/operation.ts";
import { parseStat } from "../../src/file/stat.ts";
import { engineTest } from "../faults/machine.ts";
import { pause, run, runOrThrow } from "../setup/command.ts";
import { assertFile, assertNoFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { descriptorsOf } from "../support/leaks.ts";
import { isOnDisk, testInEachDirectory, testInOneDirectory } from "../support/dirs.ts";
import { alter, engine, fail, hold, replaceMethod } from "../support/engine.ts";

const { AlreadyExists, Busy, NotFound, PermissionDenied } = Deno.errors;
const EMFILE = 24;

/** As `deviceOf` of a file on a server, whatever is found out about it. */
const onServer = () => ({ hasDisk: false, isLocal: false });

/** Begins operations in `one`, and changes to `two` at once. Both have files of the same names. */
const everyName = `
  const { DmaFile } = dma;
  const away = () => Deno.chdir("../two");
  const made = DmaFile.create("made");
  const replaced = DmaFile.create("old", { atomic: true });
  const fresh = DmaFile.create("new", { atomic: true });
  const other = DmaFile.open("other", { write: true });
  away();
  for (const file of [made, replaced, fresh]) {
    await new Blob([new Uint8Array(100).fill(7)]).stream().pipeTo((await file).writable);
  }
  await (await other).remove();
  await (await other).close();
  Deno.chdir("../one");
  const moved = await DmaFile.open("made");
  const renaming = moved.rename("renamed");
  away();
  await renaming;
  await moved.close();
`;

// With all permissions the simulator tests the same.
engineTest("A path means what it meant at the call", async (dir, engine) => {
  const [one, two] = [`${dir}/one`, `${dir}/two`];
  for (const directory of [one, two]) {
    await Deno.mkdir(directory);
    for (const name of ["old", "other"]) await Deno.writeTextFile(`${directory}/${name}`, name);
  }
  const flags = ["--allow-ffi", "--allow-env=DMA_ENGINE", "--allow-read", `--allow-write=${one}`];
  const options = { flags, cwd: one, env: { DMA_ENGINE: engine } };
  const { code, output } = await runChild(everyName, options);
  assertEquals([code, output], [0, ""]);
  assertEquals(await namesIn(one), ["new", "old", "renamed"]);
  for (const name of await namesIn(one)) await assertFile(`${one}/${name}`, filled(100, 7));
  assertEquals(await namesIn(two), ["old", "other"]);
  for (const name of await namesIn(two)) {
    assertEquals(await Deno.readTextFile(`${two}/${name}`), name);
  }
});

testInEachDirectory("A directory that is renamed keeps its files' names", async (dir) => {
  await Deno.mkdir(dir.file("before"));
  await using file = await DmaFile.create(dir.file("before/file"));
  const atomic = await DmaFile.create(dir.file("before/atomic"), { atomic: true });
  await Deno.rename(dir.file("before"), dir.file("after"));
  await Deno.mkdir(dir.file("before"));
  await Deno.writeFile(dir.file("before/file"), pattern(100));
  await using _other = await DmaFile.create(dir.file("before/other"));
  await atomic.writable.close();
  await file.rename(dir.file("after/renamed"));
  await file.remove();
  assertEquals(await namesIn(dir.file("before")), ["file", "other"]);
  assertEquals(await namesIn(dir.file("after")), ["atomic"]);
});

testInEachDirectory("A new directory is not mistaken for the old one", async (dir) => {
  // As on NFS, where a server may reuse the number of the old directory, which this machine still has open.
  using _server = replaceMethod("deviceOf", onServer);
  using _stats = alter("stat", ({ memory: { bytes } }) => {
    const isDirectory = parseStat(bytes, "x").kind === "directory";
    if (isDirectory) new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(32, 1n, true);
  });
  const folder = dir.file("folder");
  await Deno.mkdir(folder);
  await using _old = await DmaFile.create(`${folder}/old`);
  await Deno.remove(folder, { recursive: true });
  await Deno.mkdir(folder);
  const file = await DmaFile.create(`${folder}/new`);
  await using _newer = await DmaFile.create(`${folder}/newer`);
  // Two for each of the directories: both new files share theirs.
  assertEquals(descriptorsOf(folder), 4);
  await file.writable.write(pattern(5000));
  await file.writable.close();
  await assertFile(`${folder}/new`, pattern(5000));
});

testInEachDirectory("rename and remove touch no other file of the name", async (dir, path) => {
  await using file = await DmaFile.create(path);
  await Deno.symlink("file", dir.file("link"));
  await using linked = await DmaFile.open(dir.file("link"));
  await linked.remove();
  assertEquals(await namesIn(dir.path), ["file"]);
  for (const replace of [Deno.rename, Deno.symlink]) {
    await Deno.writeFile(dir.file("theirs"), filled(10, 1));
    await Deno.remove(path);
    await replace(dir.file("theirs"), path);
    for (const change of [() => file.rename(dir.file("mine")), () => file.remove()]) {
      await assertRejects(change, NotFound, "no longer leads to this file");
    }
    await assertNoFile(dir.file("mine"));
    await assertFile(path, filled(10, 1));
  }
  assert((await Deno.lstat(path)).isSymlink);
});

/** The shell commands that begin and end a state in which a file cannot be replaced, and the error. */
const states: [begin: string, end: string, message: string][] = [
  ['mount --bind "$0" "$0"', 'umount "$0"', "it is a mount point"],
  ['chattr +i "$0"', 'chattr -i "$0"', "it is immutable or append-only"],
  ['chattr +a "$0"', 'chattr -a "$0"', "it is immutable or append-only"],
  ['chattr +a "${0%/*}"', 'chattr -a "${0%/*}"', "its directory is append-only"],
  // The kernel escapes the space in its list.
  ['mkswap "$0" && swapon "$0"', 'swapoff "$0"', "the system swaps to it"],
];

for (const [begin, end, message] of states) {
  testInEachDirectory(`No atomic file is created if ${message}: ${begin}`, async (dir) => {
    const path = dir.file("the file");
    await Deno.writeFile(path, new Uint8Array(1 << 20), { mode: 0o600 });
    const shell = (command: string) => run("/bin/sh", ["-c", command, path]);
    // tmpfs has neither attributes nor swap files, and a container may have no swapping at all.
    if (!(await shell(begin)).success) return assert(begin.startsWith("mkswap") || !isOnDisk(dir));
    await using _ = { [Symbol.asyncDispose]: async () => void await shell(end) };
    const creating = () => DmaFile.create(path, { atomic: true });
    const error = await assertRejects(creating, Error, message) as DmaError;
    assert(error instanceof (begin.startsWith("mount") ? Busy : PermissionDenied));
    assertEquals(error.path, path);
  }, { needs: ["root", "chattr"] });
}

testInOneDirectory("A sticky directory keeps other users' files", async (dir) => {
  const path = dir.file("sticky/file");
  await Deno.mkdir(dir.file("sticky"));
  await Deno.writeFile(path, pattern(10));
  await Deno.chmod(dir.file("sticky"), 0o1777);
  for (const owned of [path, dir.file("sticky")]) await Deno.chown(owned, 65534, 65534);
  const create = async (shell: string) => {
    const code = `const create = (name) => dma.DmaFile.create(name, { atomic: true });
      await report(async () => await (await create(path)).close());
      await (await create(path + "-own")).close();
      const own = await create(path + "-own");
      await report(() => own.rename(path));
      await report(() => own.close());`;
    return (await runChild(code, { shell, values: { path } })).output.split("\n");
  };
  const [theirs, renamed, own] = await create('set -- setpriv --bounding-set=-fowner "$@"');
  const denied = "PermissionDenied: Operation not permitted (os error 1)";
  const why = `'${path}': it belongs to another user, and its directory is sticky`;
  assertEquals(theirs, `${denied}: open ${why}`);
  assertEquals(renamed, `${denied}: rename '${path}-own' -> ${why}`);
  assertEquals([own, ...await create("true")], Array(4).fill("ok undefined"));
}, { needs: ["root", "setpriv"] });

testInEachDirectory("A file is published and synced without another descriptor", async (dir) => {
  for (const atomic of [false, true]) {
    const { writable } = await DmaFile.create(dir.file("file"), { atomic });
    await writable.write(pattern(5000));
    const runNow = engine.runNow.bind(engine);
    const refuse = (operation: Operation) => operation.op === "open" ? -EMFILE : runNow(operation);
    using _now = replaceMethod("runNow", refuse);
    using _ = fail("open", EMFILE);
    writable.flushSync({ durable: true });
    await writable.close();
    await assertFile(dir.file("file"), pattern(5000));
  }
});

testInOneDirectory("Files that are created at once share their open directory", async (dir) => {
  await (await DmaFile.create(dir.file("first"))).close();
  const runNow = engine.runNow.bind(engine);
  let opened = 0;
  using _ = replaceMethod("runNow", (each) => {
    if (each.op === "open" && each.flags & O_DIRECTORY) opened++;
    return runNow(each);
  });
  const create = async (name: string) => (await DmaFile.create(dir.file(name))).close();
  await Promise.all(Array.from("abcdefghijklmnopqrst", create));
  // A second one is for the sync.
  assert(opened > 0 && opened <= 2, `${opened} were opened`);
});

testInEachDirectory("A directory that cannot be opened again fails each new file", async (dir) => {
  await Deno.mkdir(dir.file("other"));
  await using old = await DmaFile.create(dir.file("old"));
  await using atomic = await DmaFile.create(dir.file("atomic"), { atomic: true });
  const runNow = engine.runNow.bind(engine);
  const isForSync = (each: Operation) =>
    each.op === "open" && each.name === "." && !(each.flags & O_PATH);
  using _now = replaceMethod("runNow", (each) => isForSync(each) ? -EMFILE : runNow(each));
  using _ = fail("open", EMFILE, isForSync);
  const path = dir.file("other/new");
  const fails = (start: () => Promise<unknown>, what: string) =>
    assertRejects(start, Error, `(os error 24): ${what}`);
  const creating = () => fails(() => DmaFile.create(path), `open '${path}'`);
  await Promise.all([creating(), creating()]);
  for (const file of [old, atomic]) {
    await fails(() => file.rename(path), `rename '${file.path}' -> '${path}'`);
  }
  assertEquals(await namesIn(dir.file("other")), []);
});

testInOneDirectory("A refused open waits for that of its directory", async (dir) => {
  await Deno.writeTextFile(dir.file("file"), "");
  using _ = replaceMethod("deviceOf", onServer);
  using held = hold("open", { only: ({ name }) => name === "." });
  const opening = DmaFile.open(dir.file("file"), { write: true, createNew: true });
  const refused = assertRejects(() => opening, AlreadyExists);
  await held.reach();
  assertEquals(await Promise.race([refused, pause(50)]), undefined);
  held.letGo();
  await refused;
});

testInEachDirectory("DmaFile takes any name that the file system takes", async (dir) => {
  const odd = [" line\nbreak\ttab ", "-rf", "%41 & ? # ' \" \\ *", "😀", "..name"];
  const names = ["a".repeat(255), "ü".repeat(127), ...odd];
  for (const name of names) {
    const url = new URL(`file://${dir.path}/${encodeURIComponent(name)}`);
    for (const [path, atomic] of [[dir.file(name), false], [url, true]] as const) {
      const file = await DmaFile.create(path, { atomic });
      assertEquals(file.path, dir.file(name));
      await file.writeAt(filled(4096, Number(atomic)), 0);
      await file.close();
      await assertFile(dir.file(name), filled(4096, Number(atomic)));
    }
  }
  assertEquals(await namesIn(dir.path), [...names].sort());
});

/** Runs a shell command in a directory; `$odd` is a name that is not UTF-8, which JavaScript cannot say. */
async function shell(dir: { path: string }, command: string): Promise<string> {
  const name = `odd="$(printf 'odd\\377name')"`;
  return await runOrThrow("sh", ["-c", `cd "$0" && ${name}; ${command}`, dir.path]);
}

testInEachDirectory("Names that are not UTF-8 stay as they are, also on the way", async (dir) => {
  await shell(dir, 'mkdir "$odd"; ln -s "$odd" link; echo old > "$odd/$odd"');
  for (const name of ["plain", "first", "atomic", "atomic"]) {
    const file = await DmaFile.create(dir.file(`link/${name}`), { atomic: name === "atomic" });
    if (name === "first") await file.rename(dir.file("link/second"));
    await file.writable.write(pattern(30_001));
    await file.writable.close();
    await assertFile(file.path, pattern(30_001));
  }
  assertEquals(await shell(dir, 'cat "$odd/$odd"; ls -A "$odd" | wc -l'), "old\n4");
});

testInOneDirectory("A name that is not UTF-8 is not mistaken for an allowed one", async (dir) => {
  // The name of the other folder as a lenient decoder returns it.
  const allowed = dir.file("odd\ufffdname");
  await Deno.mkdir(allowed);
  await shell(dir, 'mkdir "$odd"; echo secret > "$odd/file"');
  await shell(dir, `ln -s "../$odd/file" '${allowed}/link'; ln -s "../$odd" '${allowed}/folder'`);
  const code = `for (const path of [allowed + "/link", allowed + "/folder/file"]) {
      await report(() => dma.DmaFile.open(path));
      await report(() => dma.DmaFile.create(path));
    }
    await report(() => dma.DmaFile.create(allowed + "/folder/new"));
    const file = await dma.DmaFile.create(allowed + "/new");
    await report(() => file.close());`;
  const flags = ["--allow-ffi", `--allow-read=${allowed}`, `--allow-write=${allowed}`];
  const { output } = await runChild(code, { flags, values: { allowed } });
  const errors = output.split("\n").map((line) => line.split(":")[0]);
  assertEquals(errors, [...Array(5).fill("NotCapable"), "ok undefined"], output);
  assertEquals(await shell(dir, 'cat "$odd/file"; ls -A "$odd"'), "secret\nfile");
});

testInEachDirectory("What may be a server's is looked at on a thread", async (dir, path) => {
  /** The kinds of what is looked at on the JavaScript thread by a use of the file. */
  const lookedAtNow = async (use: () => Promise<void>) => {
    const runNow = engine.runNow.bind(engine);
    const seen: string[] = [];
    using _ = replaceMethod("runNow", (operation) => {
      const result = runNow(operation);
      if (operation.op === "stat") seen.push(parseStat(operation.memory.bytes, "x").kind);
      return result;
    });
    await use();
    return seen;
  };
  const create = async () => {
    for (const atomic of [false, true]) {
      await (await DmaFile.create(path, { atomic })).writable.close();
    }
  };
  const open = async () => {
    await using file = await DmaFile.open(path);
    await file.rename(dir.file("other"));
    await file.rename(path);
  };
  await create();
  {
    // 9p asks its server whenever statx(2) is called, and SMB for what has changed.
    using _ = replaceMethod("deviceOf", onServer);
    assertEquals((await lookedAtNow(create)).filter((kind) => kind === "directory"), []);
    assertEquals(await lookedAtNow(open), []);
  }
  // The control: on a mount that was found to be local both are looked at at once.
  assertEquals((await lookedAtNow(open)).slice(0, 2), ["directory", "file"]);
  // A link there may lead to a server.
  await Deno.symlink("file", dir.file("link"));
  await using linked = await DmaFile.open(dir.file("link"));
  assertEquals(await lookedAtNow(() => linked.remove()), []);
});
