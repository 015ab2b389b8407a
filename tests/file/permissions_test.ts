// Deno's permissions, which FFI could bypass, in child processes with exactly these flags.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { resultOf } from "../faults/programs.ts";
import { tool } from "../faults/tools.ts";
import { hasProgram, runOrThrow } from "../setup/command.ts";
import { assertFile, assertNoFile, filled, namesIn, pattern } from "../support/bytes.ts";
import { type ChildOptions, runChild } from "../support/child.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";

/** A folder that children may use, and one with a secret that they may not. */
interface Folders {
  readonly dir: TestDirectory;
  readonly inside: string;
  readonly outside: string;
  readonly secret: string;
  /** Runs code that has these paths as constants. Returns the lines that it prints. */
  run(code: string, flags: readonly string[], options?: ChildOptions): Promise<string[]>;
}

/** Registers a test with two folders. Afterwards the secret is unchanged, and alone in its folder. */
function testFolders(name: string, fn: (folders: Folders) => Promise<void>): void {
  testInOneDirectory(name, async (dir) => {
    const paths = { inside: dir.file("inside"), outside: dir.file("outside") };
    await Deno.mkdir(paths.inside);
    await Deno.mkdir(paths.outside);
    const secret = `${paths.outside}/secret`;
    await Deno.writeFile(secret, pattern(5000));
    const run: Folders["run"] = async (code, flags, { values, ...options } = {}) => {
      const child = { ...options, flags, values: { ...paths, secret, ...values } };
      const prelude = "const { DmaFile, DmaStreamWriter } = dma;\n";
      return (await runChild(prelude + code, child)).output.split("\n");
    };
    await fn({ dir, ...paths, secret, run });
    await assertFile(secret, pattern(5000));
    assertEquals(await namesIn(paths.outside), ["secret"]);
  });
}

const FFI = "--allow-ffi";

/** Flags that allow one folder only. */
const only = (folder: string) => [FFI, `--allow-read=${folder}`, `--allow-write=${folder}`];

const NO_WRITE = "NotCapable: Requires write access";

/** Throws unless there are as many lines as starts, and each begins so. */
function assertLines(lines: string[], starts: string[]): void {
  const seen = lines.map((line, index) => line.slice(0, starts[index]?.length));
  assertEquals(seen, starts, lines.join("\n"));
}

testFolders("Without permissions the module is imported, and opens nothing", async (folders) => {
  const { run, inside } = folders;
  const code = `console.log(dma.engineInfo().engine);
    await report(() => DmaFile.create(inside + "/file"));`;
  for (const flags of [[], [`${FFI}=${inside}`, "--allow-read", "--allow-write"]]) {
    assertLines(await run(code, flags), ["null", "NotCapable: Requires ffi access, run"]);
  }
  // The module cannot ask a broker.
  const brokered = `Deno.env.set("DENO_PERMISSION_BROKER_PATH", "/broker");${code}`;
  assertLines(await run(brokered, ["-A"]), ["null", "NotSupported: Cannot run under a permission"]);
  assertEquals(await namesIn(inside), []);
});

for (const engine of engines) {
  testFolders(`The smallest set of flags does everything, ${engine}`, async ({ inside }) => {
    // The tests themselves read their settings.
    const options = { flags: [...only(inside), "--allow-env"], env: { DMA_ENGINE: engine } };
    // A sandbox may refuse openat2(2).
    for (const errno of hasProgram("gcc") ? ["", engine === "threads" ? "1" : "38"] : [""]) {
      const wrapper = errno ? [await tool("secc"), "openat2", errno] : [];
      await Deno.mkdir(`${inside}/folder${errno}`);
      // Links within the allowed folder may be followed.
      await Deno.symlink(`folder${errno}`, `${inside}/link${errno}`);
      const working = resultOf("allWork", [`${inside}/link${errno}`], { ...options, wrapper });
      const { wrong, used, info } = await working;
      assertEquals([wrong, used, info.engine], [[], 0, engine], errno);
    }
  });
}

for (const engine of engines) {
  // They are swapped before each call to the kernel in turn, by programs/swapped.ts.
  const name = `Names that are swapped during an open lead nowhere outside, ${engine}`;
  testFolders(name, async ({ inside, outside, secret }) => {
    await Deno.mkdir(`${inside}/folder`);
    await Deno.writeFile(`${inside}/link`, filled(5000, 7));
    for (const name of ["link", "file"]) await Deno.symlink(secret, `${inside}/${name}.other`);
    await Deno.symlink(outside, `${inside}/folder.other`);
    const { mtime } = await Deno.stat(outside);
    const options = { env: { DMA_ENGINE: engine }, flags: [...only(inside), "--allow-env"] };
    const found = await resultOf("swapped", [inside], options);
    for (const [name, { done = 0, NotCapable = 0, ...others }] of Object.entries(found)) {
      // The control: some swaps were met, and some came too early or too late.
      assert(done > 0 && NotCapable > 0, Deno.inspect({ name, done, NotCapable, others }));
    }
    // Not even for a moment.
    assertEquals((await Deno.stat(outside)).mtime, mtime);
  });
}

testFolders("Writing needs only --allow-write, and reading only --allow-read", async (folders) => {
  const { run, inside, outside } = folders;
  await Deno.writeFile(`${inside}/file`, pattern(1000));
  const written = await run(
    `const file = await DmaFile.open(inside + "/file", { read: false, write: true });
    const stream = new DmaStreamWriter(file, { append: true });
    await stream.write(new Uint8Array(100));
    await report(() => stream.close());
    const made = await DmaFile.create(inside + "/made", { read: false });
    await report(() => made.close());`,
    [FFI, `--allow-write=${inside}`],
  );
  assertEquals(written, ["ok undefined", "ok undefined"]);
  assertEquals((await Deno.stat(`${inside}/file`)).size, 1100);
  assertEquals(await namesIn(inside), ["file", "made"]);
  const read = await run(
    `const file = await DmaFile.open(secret);
    await report(async () => (await file.readAt(4990, 100)).length);
    await report(() => file.truncate());
    await report(() => file.remove());
    await report(() => file.rename(secret + "2"));
    await report(() => DmaFile.open(secret, { write: true }));
    await file.close();`,
    [FFI, `--allow-read=${outside}`],
  );
  assertLines(read, ["ok 10", "BadResource:", NO_WRITE, NO_WRITE, NO_WRITE]);
});

testFolders("An allowed file opens while it is replaced, whenever", async ({ run, inside }) => {
  const paths = `${inside}/file,${inside}/new`;
  const code = `for (let microtasks = 0; microtasks < 100; microtasks++) {
      for (const name of ["file", "new"]) Deno.writeTextFileSync(inside + "/" + name, "text");
      const opening = DmaFile.open(inside + "/file");
      for (let count = 0; count < microtasks; count++) await undefined;
      Deno.renameSync(inside + "/new", inside + "/file");
      await (await opening).close();
    }`;
  assertEquals(await run(code, only(paths)), [""]);
});

testFolders("A folder that is allowed, or none, lets nothing else through", async (folders) => {
  const { run, dir, inside, outside, secret } = folders;
  // For another process the folder outside has the path of the one inside.
  const mount = `mount --bind ${outside} ${inside} && echo && exec sleep 99`;
  const args = ["-rm", "sh", "-c", mount];
  await using process = new Deno.Command("unshare", { args, stdout: "piped" }).spawn();
  for await (const _ of process.stdout) break;
  const links = {
    other: `/proc/${process.pid}/root${inside}`,
    otherFile: `/proc/${process.pid}/root${inside}/secret`,
    link: secret,
    relative: "../outside/secret",
    dangling: `${outside}/fresh`,
    folder: outside,
    twice: "folder",
  };
  for (const [name, target] of Object.entries(links)) {
    await Deno.symlink(target, `${inside}/${name}`);
  }
  const before = (await Deno.stat(outside)).mtime;
  const below = ["../outside", "folder/../outside", "folder", "twice", "other"];
  const paths = [
    ...below.flatMap((folder) => [`${inside}/${folder}/secret`, `${inside}/${folder}/fresh`]),
    ...["link", "relative", "dangling", "../fresh", "otherFile"].map((name) => `${inside}/${name}`),
    secret,
    `/proc/self/cwd/secret`,
  ];
  const code = `for (const path of paths) {
      const dir = path.slice(0, path.lastIndexOf("/"));
      const ways = {
        read: () => DmaFile.open(path),
        write: () => DmaFile.open(path, { read: false, write: true }),
        truncate: () => DmaFile.open(path, { read: false, write: true, truncate: true }),
        create: () => DmaFile.create(path),
        "create or open": () => DmaFile.open(path, { write: true, create: true }),
        createNew: () => DmaFile.open(path, { write: true, createNew: true }),
        atomic: async () => await (await DmaFile.create(path, { atomic: true })).close(),
        temp: async () => await (await DmaFile.temp({ dir })).close(),
      };
      // An atomic file replaces a link, and does not follow it.
      if (/(link|relative|dangling)$/.test(path)) delete ways.atomic;
      if (dir === inside) delete ways.temp;
      for (const [name, open] of Object.entries(ways)) {
        await open().then(
          () => console.log("OPENED", name, path),
          (error) => console.log(error.name, name, path, error.message.split(",")[0]),
        );
      }
    }
    for (const { open } of [DmaFile, Deno]) await report(() => open(secret));
    for (const { open } of [DmaFile, Deno]) await report(() => open(secret, { read: false, write: true }));`;
  for (const flags of [only(inside), [FFI]]) {
    const lines = await run(code, flags, { cwd: outside, values: { paths } });
    const [read, denosRead, write, denosWrite] = lines.splice(-4);
    assertEquals([read, write], [denosRead, denosWrite]);
    assertEquals(lines.length, paths.length * 8 - 7, lines.join("\n"));
    for (const line of lines) {
      // createNew fails before the real path is checked. Links to nothing and to other processes are not followed.
      const mayDiffer = flags.length > 1 && /dangling|fresh|other| createNew /.test(line);
      assertMatch(line, mayDiffer ? /^(?!OPENED)/ : /^NotCapable /);
    }
    // The error names the path that is needed.
    const real = `read access to "${Deno.realPathSync(outside)}/secret"`;
    for (const link of flags.length > 1 ? ["link", "relative", "folder/secret"] : []) {
      const path = `${inside}/${link}`;
      assert(lines.includes(`NotCapable read ${path} Requires ${real}`), lines.join("\n"));
    }
  }
  await assertNoFile(dir.file("fresh"));
  assertEquals(await namesIn(dir.path), ["inside", "outside"]);
  // Not even for a moment.
  assertEquals((await Deno.stat(outside)).mtime, before);
});

testFolders("rename asks for the path it touches", async ({ run, dir, inside }) => {
  await Deno.mkdir(dir.file("below"));
  await Deno.symlink(dir.file("below"), `${inside}/link`);
  // The text of the second path is inside, but the file system follows the link first.
  const paths = ["../outside/file", `${inside}/link/../outside/secret`, `${inside}/link/file`];
  const lines = await run(
    `await (await DmaFile.temp({ dir: inside })).close();
    for (const [name, atomic] of [["plain", false], ["atomic", true]]) {
      const file = await DmaFile.create(name, { atomic });
      for (const path of paths) await report(() => file.rename(path));
      console.log(file.path);
      await file.close();
    }`,
    only(inside),
    { cwd: inside, values: { paths } },
  );
  const refused = paths.map(() => NO_WRITE);
  assertLines(lines, [...refused, "plain", ...refused, "atomic"]);
  assertEquals(await namesIn(dir.file("below")), []);
});

testFolders("A denied file is not opened, moved or removed by any name", async (folders) => {
  const { run, inside, outside, secret } = folders;
  await Deno.symlink(outside, `${inside}/link`);
  await Deno.link(secret, `${inside}/secret`);
  const denied = [`--deny-read=${outside}`, `--deny-write=${outside}`];
  const lines = await run(
    `for (const path of [secret, inside + "/link/secret"]) await report(() => DmaFile.open(path));
    await report(() => DmaFile.create(inside + "/link/secret"));
    const file = await DmaFile.create(inside + "/file");
    await report(() => file.rename(inside + "/link/secret"));
    await file.close();
    const mine = await DmaFile.open(inside + "/secret", { write: true });
    // Another process has moved the directory to a place without permission.
    const moved = outside + "/moved";
    await new Deno.Command("mv", { args: [inside + "/secret", moved] }).output();
    await report(() => mine.remove());
    await mine.close();`,
    [FFI, "--allow-read", "--allow-write", "--allow-run", ...denied],
  );
  assertLines(lines, [...Array(3).fill("NotCapable:"), NO_WRITE, "ok undefined"]);
  assertEquals(await namesIn(outside), ["moved", "secret"]);
  await Deno.remove(`${outside}/moved`);
  // With this flag a file looks as if it were missing.
  const open = "for (const { open } of [Deno, DmaFile]) await report(() => open(secret));";
  const ignored = [FFI, "--allow-read", "--allow-write", `--ignore-read=${outside}`];
  assertLines(await run(open, ignored), Array(2).fill("NotFound: No such file"));
});

testFolders("Shared memory opens only if all is allowed", async ({ run, inside, secret }) => {
  const shared = await Deno.makeTempDir({ dir: "/dev/shm" });
  await using _ = { [Symbol.asyncDispose]: () => Deno.remove(shared, { recursive: true }) };
  const path = `${shared}/file`;
  await Deno.writeFile(path, pattern(100));
  await Deno.symlink(path, `${inside}/link`);
  await Deno.mkdir(`${shared}/disk`);
  await Deno.symlink(`${shared}/disk`, `${inside}/disk`);
  await Deno.symlink(`${shared}/new`, `${inside}/dangling`);
  await Deno.symlink(`${shared}/fifo`, `${inside}/fifo`);
  for (const folder of [inside, `${shared}/disk`]) await Deno.symlink(secret, `${folder}/out`);
  const code = `const file = await DmaFile.create(inside + "/file");
    for (const open of [
      ...[Deno, DmaFile].map(({ open }) => () => open(path)),
      () => DmaFile.open(inside + "/link"),
      () => DmaFile.open("../".repeat(99) + "/proc/self/root" + inside + "/file"),
      () => DmaFile.create(inside + "/dangling"),
      () => DmaFile.create(shared + "/new"),
      () => DmaFile.create(inside + "/disk/new"),
      () => DmaFile.open(inside + "/disk/out"),
      () => DmaFile.create(path, { atomic: true }),
      () => DmaFile.temp({ dir: shared }),
    ]) await report(async () => { await (await open()).close(); });
    await report(() => file.rename(shared + "/new"));
    await file.close();`;
  const values = { path, shared };
  const unlimited = [FFI, "--allow-read", "--allow-write"];
  // A container may have files of a disk there.
  const binds = `mount --bind ${inside} ${shared}/disk && mount --bind ${secret} ${path}`;
  const mounted = `set -- unshare -m sh -c '${binds} && exec "$@"' sh "$@"`;
  const shells = [":", mounted].slice(0, Deno.uid() === 0 ? 2 : 1);
  const ways = shells.flatMap((shell) => [[unlimited, shell], [only("/"), shell]] as const);
  for (const [allowed, shell] of ways) {
    const lines = await run(code, [...allowed, "--allow-env", "--allow-sys"], { values, shell });
    assertEquals(lines[0], lines[1]);
    const starts = Array(11).fill("NotCapable: Requires all access");
    // With permissions that are limited to paths a link to nothing is not followed.
    if (allowed !== unlimited) starts[4] = "NotFound: ";
    assertLines(lines, starts);
    await assertFile(path, pattern(100));
    assertEquals(await namesIn(shared), ["disk", "file"]);
  }
  // A FIFO is not even opened: its writer would continue, and its bytes would be lost.
  await runOrThrow("mkfifo", [`${shared}/fifo`]);
  const writing = runOrThrow("timeout", ["60", "sh", "-c", `echo text > ${shared}/fifo`]);
  const opens = `await report(() => DmaFile.open(shared + "/fifo"));
    await report(() => DmaFile.open(inside + "/fifo"));`;
  assertLines(await run(opens, unlimited, { values }), ["NotCapable: ", "NotSupported: "]);
  assertEquals((await runOrThrow("timeout", ["60", "cat", `${shared}/fifo`])).trim(), "text");
  await writing;
  // The control. The rename is from a disk to memory.
  const lines = await run(code, ["-A"], { values });
  assertLines(lines, [...Array(10).fill("ok"), "Error: Invalid cross-device link"]);
});

testFolders("A lack of descriptors is no lack of permission", async ({ run, inside }) => {
  await Deno.mkdir(`${inside}/dev`);
  await Deno.writeTextFile(`${inside}/dev/file`, "");
  const code = `await (await DmaFile.open("dev/file")).close();
    const held = [];
    try { for (;;) held.push(Deno.openSync("dev/file")); } catch {}
    await report(() => DmaFile.open("dev/file"));`;
  const flags = [FFI, "--allow-read", "--allow-write"];
  const lines = await run(code, flags, { cwd: inside, shell: "ulimit -n 100" });
  assertLines(lines, ["Error: Too many open files (os error 24): open 'dev/file'"]);
});

testFolders("A permission that is taken back holds for the next call", async ({ run, inside }) => {
  const lines = await run(
    `const path = inside + "/file";
    const file = await DmaFile.create(path);
    const atomic = [];
    for (let count = 0; count < 2; count++) atomic.push(await DmaFile.create(path, { atomic: true }));
    for (const each of atomic) await each.writeAt(new Uint8Array(4096), 0);
    await Deno.permissions.revoke({ name: "write" });
    await report(() => DmaFile.create(path));
    await report(() => file.remove());
    await file.close();
    // No file is published either.
    await report(() => atomic[0].close());
    await report(() => atomic[1].writable.close());`,
    [FFI, "--allow-read", "--allow-write"],
  );
  assertLines(lines, Array(4).fill(NO_WRITE));
  assertEquals(await namesIn(inside), ["file"]);
  await assertFile(`${inside}/file`, new Uint8Array());
});
