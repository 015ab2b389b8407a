// Deno's permissions, in child processes with exactly these flags: FFI could pass them by, and must not.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assertFile, assertNoFile, namesIn, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { type TestDirectory, testInOneDirectory } from "../support/dirs.ts";

const text = (value: string | string[]) => JSON.stringify(value);

/** A folder that a child may use, and one that it may not. */
async function twoFolders(dir: TestDirectory): Promise<{ inside: string; outside: string }> {
  const inside = dir.file("inside");
  const outside = dir.file("outside");
  await Deno.mkdir(inside);
  await Deno.mkdir(outside);
  await Deno.writeFile(`${outside}/secret`, pattern(5000));
  return { inside, outside };
}

/** Flags that allow a folder, and nothing else. */
const only = (folder: string) => [
  "--allow-ffi",
  `--allow-read=${folder}`,
  `--allow-write=${folder}`,
];

/** Flags that allow every folder but one. */
const allBut = (folder: string) => [
  "--allow-ffi",
  "--allow-read",
  "--allow-write",
  `--deny-read=${folder}`,
  `--deny-write=${folder}`,
];

const notCapable = (access: string, path: string) =>
  `NotCapable: Requires ${access} access to "${path}", run again with the --allow-${access} flag`;

testInOneDirectory("With --allow-ffi alone no file is opened, created or emptied", async (dir) => {
  const { outside } = await twoFolders(dir);
  const secret = `${outside}/secret`;
  const fresh = `${outside}/fresh`;
  const { output } = await runChild(
    `
    await report(() => dma.DmaFile.open(${text(secret)}));
    await report(() => dma.DmaFile.open(${text(secret)}, { write: true, read: false }));
    await report(() => dma.DmaFile.open(${text(secret)}, { write: true, truncate: true }));
    await report(() => dma.DmaFile.create(${text(secret)}));
    await report(() => dma.DmaFile.create(${text(fresh)}));
    await report(() => dma.DmaFile.create(${text(fresh)}, { atomic: true }));
    await report(() => dma.DmaFile.open(${text(fresh)}, { write: true, createNew: true }));
    await report(() => dma.DmaFile.temp({ dir: ${text(outside)} }));
    await report(() => Deno.open(${text(secret)}));
    await report(() => Deno.open(${text(secret)}, { write: true }));
  `,
    { flags: ["--allow-ffi"] },
  );
  const lines = output.split("\n");
  // Deno's own words.
  assertEquals(lines.slice(0, 2), lines.splice(-2));
  assertEquals(lines[0], notCapable("read", secret));
  assertEquals(lines[1], notCapable("write", secret));
  assertEquals(lines.length, 8, output);
  for (const line of lines) assert(line.startsWith("NotCapable: Requires "), line);
  assertEquals(await namesIn(outside), ["secret"]);
  await assertFile(secret, pattern(5000));
});

testInOneDirectory(
  "Without --allow-ffi nothing opens, and the error says what is wanted",
  async (dir) => {
    const { inside } = await twoFolders(dir);
    const { output } = await runChild(
      `await report(() => dma.DmaFile.create(${text(`${inside}/x`)}));`,
      { flags: [`--allow-read=${inside}`, `--allow-write=${inside}`] },
    );
    assert(output.startsWith("NotCapable: Requires ffi access"), output);
    assertEquals(await namesIn(inside), []);
  },
);

testInOneDirectory("The smallest set of flags does everything in its folder", async (dir) => {
  const { inside } = await twoFolders(dir);
  const path = `${inside}/file`;
  for (const engine of ["io_uring", "threads"]) {
    const { output, code } = await runChild(
      `
      dma.configure({ engine: ${text(engine)} });
      const path = ${text(path)};
      const file = await dma.DmaFile.create(path);
      const stream = new dma.DmaStreamWriter(file, { bufferSize: 65536, closeFile: false });
      await ReadableStream.from([new Uint8Array(3000001).fill(7)]).pipeTo(stream);
      // Enough waits for another way to be woken.
      for (let count = 0; count < 500; count++) await file.sync();
      await file.rename(path + "2");
      const read = await file.readAt(2999999, 10);
      await file.close();
      console.log(read.length, dma.engineInfo().engine);
      const atomic = await dma.DmaFile.create(path, { atomic: true });
      await atomic.writeAt(new Uint8Array(4096).fill(8), 0);
      await atomic.close();
      const temporary = await dma.DmaFile.temp({ dir: ${text(inside)} });
      await temporary.writeAt(new Uint8Array(4096), 0);
      await temporary.close();
      const again = await dma.DmaFile.open(path + "2");
      console.log(again.path, await again.size());
      await again.close();
      const removed = await dma.DmaFile.open(path + "2", { write: true });
      await removed.remove();
      await removed.close();
    `,
      { flags: only(inside) },
    );
    if (engine === "io_uring" && /(NotSupported|LiburingMissing): /.test(output)) continue;
    assertEquals([code, output], [0, `2 ${engine}\n${path}2 3000001`]);
    assertEquals(await namesIn(inside), ["file"]);
    await assertFile(path, new Uint8Array(4096).fill(8));
  }
});

testInOneDirectory("Writing without reading needs only --allow-write", async (dir) => {
  const { inside } = await twoFolders(dir);
  const path = `${inside}/file`;
  await Deno.writeFile(path, pattern(1000));
  const { output, code } = await runChild(
    `
    const file = await dma.DmaFile.open(${text(path)}, { read: false, write: true });
    const stream = new dma.DmaStreamWriter(file, { append: true });
    await stream.write(new Uint8Array(100).fill(9));
    await stream.close();
    const made = await dma.DmaFile.create(${text(`${inside}/made`)}, { read: false });
    await made.writable.close();
  `,
    { flags: ["--allow-ffi", `--allow-write=${inside}`] },
  );
  assertEquals(code, 0, output);
  assertEquals((await Deno.stat(path)).size, 1100);
  assertEquals(await namesIn(inside), ["file", "made"]);
});

testInOneDirectory("Reading needs only --allow-read", async (dir) => {
  const { outside } = await twoFolders(dir);
  const path = `${outside}/secret`;
  const { output } = await runChild(
    `
    const path = ${text(path)};
    const file = await dma.DmaFile.open(path);
    console.log((await file.readAt(4990, 100)).length);
    await report(() => file.writeAt(file.allocBuffer(4096), 0));
    await report(() => file.truncate());
    await report(() => file.remove());
    await report(() => file.rename(path + "2"));
    await report(() => dma.DmaFile.open(path, { write: true }));
    await file.close();
  `,
    { flags: ["--allow-ffi", `--allow-read=${outside}`] },
  );
  const lines = output.split("\n");
  assertEquals(lines[0], "10");
  assert(lines[1]!.startsWith("BadResource:"), output);
  assert(lines[2]!.startsWith("BadResource:"), output);
  for (const line of lines.slice(3)) {
    assertStringIncludes(line, "NotCapable: Requires write access");
  }
  await assertFile(path, pattern(5000));
  assertEquals(await namesIn(outside), ["secret"]);
});

testInOneDirectory("A folder that is allowed lets nothing else through", async (dir) => {
  const { inside, outside } = await twoFolders(dir);
  const secret = `${outside}/secret`;
  await Deno.symlink(secret, `${inside}/link`);
  await Deno.symlink(outside, `${inside}/folder`);
  await Deno.symlink("../outside/secret", `${inside}/relative`);
  await Deno.symlink(`${outside}/fresh`, `${inside}/dangling`);
  await Deno.symlink("folder", `${inside}/twice`);
  const before = (await Deno.stat(outside)).mtime;
  const paths = [
    secret,
    `${inside}/../outside/secret`,
    `${inside}/folder/../outside/secret`,
    `${inside}/folder/../outside/fresh`,
    `${inside}/link`,
    `${inside}/relative`,
    `${inside}/folder/secret`,
    `${inside}/twice/secret`,
    `${inside}/dangling`,
    `${inside}/folder/fresh`,
    `${inside}/twice/fresh`,
    `${inside}/../fresh`,
    `/proc/self/cwd/secret`,
  ];
  const { output } = await runChild(
    `
    const { DmaFile } = dma;
    for (const path of ${JSON.stringify(paths)}) {
      const ways = {
        read: () => DmaFile.open(path),
        write: () => DmaFile.open(path, { read: false, write: true }),
        truncate: () => DmaFile.open(path, { read: false, write: true, truncate: true }),
        create: () => DmaFile.create(path),
        "create or open": () => DmaFile.open(path, { write: true, create: true }),
        createNew: () => DmaFile.open(path, { write: true, createNew: true }),
        atomic: async () => {
          // Takes the place of a link, and does not follow it.
          if (/(link|relative|dangling)$/.test(path)) throw new Deno.errors.NotCapable("Not tried");
          await (await DmaFile.create(path, { atomic: true })).close();
        },
        temp: async () => {
          const dir = path.slice(0, path.lastIndexOf("/"));
          if (dir === ${text(inside)}) throw new Deno.errors.NotCapable("Not tried");
          await (await DmaFile.temp({ dir })).close();
        },
      };
      for (const [name, open] of Object.entries(ways)) {
        await open().then(
          () => console.log("OPENED", name, path),
          (error) => console.log(error.name, name, path, error.message),
        );
      }
    }
  `,
    {
      flags: only(inside),
      cwd: outside,
    },
  );
  const lines = output.split("\n");
  assertEquals(lines.length, paths.length * 8, output);
  for (const line of lines) {
    // What is there already fails createNew before its real path is asked for, and a link to nothing is nothing.
    assert(/^(NotCapable|NotFound|AlreadyExists|TypeError) /.test(line), line);
    const expected = /dangling|fresh/.test(line) || / createNew /.test(line) ? "" : "NotCapable ";
    assert(line.startsWith(expected), line);
  }
  await assertFile(secret, pattern(5000));
  assertEquals(await namesIn(outside), ["secret"]);
  await assertNoFile(dir.file("fresh"));
  assertEquals(await namesIn(dir.path), ["inside", "outside"]);
  // Not even for a moment.
  assertEquals((await Deno.stat(outside)).mtime, before);
});

testInOneDirectory("An error names the path that would have been needed", async (dir) => {
  const { inside, outside } = await twoFolders(dir);
  await Deno.symlink(`${outside}/secret`, `${inside}/link`);
  const { output } = await runChild(
    `await report(() => dma.DmaFile.open(${text(`${inside}/link`)}));
    await report(() => dma.DmaFile.create(${text(`${outside}/secret`)}, { read: false }));`,
    { flags: only(inside) },
  );
  const [link, direct] = output.split("\n");
  assertEquals(link, notCapable("read", `${Deno.realPathSync(outside)}/secret`));
  assertEquals(direct, notCapable("write", `${outside}/secret`));
});

testInOneDirectory("A link within the allowed folder may be followed", async (dir) => {
  const { inside } = await twoFolders(dir);
  await Deno.mkdir(`${inside}/real`);
  await Deno.symlink("real", `${inside}/folder`);
  await Deno.symlink("real/file", `${inside}/link`);
  const { output, code } = await runChild(
    `
    const file = await dma.DmaFile.create(${text(`${inside}/folder/file`)});
    await file.writable.write(new Uint8Array(5));
    await file.writable.close();
    const again = await dma.DmaFile.open(${text(`${inside}/link`)}, { write: true });
    console.log(await again.size());
    await again.close();
  `,
    { flags: only(inside) },
  );
  assertEquals([code, output], [0, "5"]);
});

testInOneDirectory("A denied file is denied by any other name", async (dir) => {
  const { inside, outside } = await twoFolders(dir);
  await Deno.symlink(`${outside}/secret`, `${inside}/link`);
  const { output } = await runChild(
    `
    await report(() => dma.DmaFile.open(${text(`${outside}/secret`)}));
    await report(() => dma.DmaFile.open(${text(`${inside}/link`)}));
    await report(() => dma.DmaFile.create(${text(`${inside}/link`)}));
    const file = await dma.DmaFile.create(${text(`${inside}/file`)});
    await file.close();
    console.log("made");
  `,
    {
      flags: allBut(outside),
    },
  );
  const lines = output.split("\n");
  assertEquals(lines.length, 4, output);
  for (const line of lines.slice(0, 3)) assert(line.startsWith("NotCapable:"), line);
  assertEquals(lines[3], "made");
  await assertFile(`${outside}/secret`, pattern(5000));
});

testInOneDirectory("rename and remove ask for the paths they touch", async (dir) => {
  const { inside, outside } = await twoFolders(dir);
  await Deno.mkdir(`${outside}/below`);
  await Deno.symlink(`${outside}/below`, `${inside}/link`);
  const paths = [
    `${outside}/file`,
    `${inside}/../outside/file`,
    // By its text this is inside: the file system follows the link first.
    `${inside}/link/../secret`,
    `${inside}/link/file`,
    "../outside/file",
  ];
  for (const atomic of [false, true]) {
    const { output } = await runChild(
      `
      const file = await dma.DmaFile.create("file", { atomic: ${atomic} });
      for (const path of ${text(paths)}) await report(() => file.rename(path));
      console.log(file.path);
      await file.close();
    `,
      {
        flags: only(inside),
        cwd: inside,
      },
    );
    const lines = output.split("\n");
    assertEquals(lines.length, paths.length + 1, output);
    for (const line of lines.slice(0, -1)) {
      assert(line.startsWith("NotCapable: Requires write access"), output);
    }
    assertEquals(lines.at(-1), "file");
    assertEquals(await namesIn(outside), ["below", "secret"]);
    await assertFile(`${outside}/secret`, pattern(5000));
    assertEquals(await namesIn(`${outside}/below`), []);
  }
});

testInOneDirectory("A denied file is neither replaced nor removed by another name", async (dir) => {
  const { inside, outside } = await twoFolders(dir);
  await Deno.symlink(outside, `${inside}/link`);
  await Deno.link(`${outside}/secret`, `${inside}/secret`);
  const { output } = await runChild(
    `
    const file = await dma.DmaFile.create(${text(`${inside}/file`)});
    await report(() => file.rename(${text(`${inside}/link/secret`)}));
    await file.close();
    const secret = await dma.DmaFile.open(${text(`${inside}/secret`)}, { write: true });
    // Moved by somebody else to where it may not be touched, with its directory.
    await new Deno.Command("mv", { args: ${
      text([`${inside}/secret`, `${outside}/moved`])
    } }).output();
    await report(() => secret.remove());
    await secret.close();
  `,
    {
      flags: [...allBut(outside), "--allow-run"],
    },
  );
  const lines = output.split("\n");
  assert(lines[0]!.startsWith("NotCapable: Requires write access"), output);
  assertEquals(lines.slice(1), ["ok undefined"], output);
  assertEquals(await namesIn(outside), ["moved", "secret"]);
  await assertFile(`${outside}/secret`, pattern(5000));
});

testInOneDirectory("A file of a namespace does not open, whatever leads to it", async (dir) => {
  const { inside } = await twoFolders(dir);
  await Deno.symlink("/proc/self/ns/mnt", `${inside}/link`);
  for (const flags of [["-A"], ["--allow-ffi", `--allow-read=${inside}`]]) {
    const opening = `await report(() => dma.DmaFile.open(${text(`${inside}/link`)}));`;
    const { output } = await runChild(opening, { flags, cwd: inside });
    assert(/^(NotSupported|NotCapable): /.test(output), output);
  }
});

testInOneDirectory("A permission that is taken back holds for the next open", async (dir) => {
  const { inside } = await twoFolders(dir);
  const { output } = await runChild(
    `
    const path = ${text(`${inside}/file`)};
    const file = await dma.DmaFile.create(path);
    await Deno.permissions.revoke({ name: "write" });
    await report(() => dma.DmaFile.create(path));
    await report(() => file.remove());
    await file.close();
  `,
    { flags: ["--allow-ffi", "--allow-read", "--allow-write"] },
  );
  const lines = output.split("\n");
  assertEquals(lines.length, 2, output);
  for (const line of lines) assert(line.startsWith("NotCapable: Requires write access"), line);
  assertEquals(await namesIn(inside), ["file"]);
});

testInOneDirectory("Importing the module asks for nothing", async () => {
  const { output, code } = await runChild(`console.log(dma.engineInfo().engine);`, { flags: [] });
  assertEquals([code, output], [0, "null"]);
});
