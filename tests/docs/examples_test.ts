// The examples that work on files, each by its command.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { cachedBytes, root, run, runOrThrow } from "../setup/command.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import "../support/engine.ts";
import { testOnce } from "../support/dirs.ts";
import { commandOf, ended, type Example, testExample } from "./example.ts";

const examples = [...Deno.readDirSync(`${root}/examples`)]
  .filter(({ name }) => name.endsWith(".ts"))
  .map(({ name }) => name.replace(/\.ts$/, ""));

testOnce("The table has the commands of the examples, which allow and import little", () => {
  const table = Deno.readTextFileSync(`${root}/examples/README.md`);
  for (const name of examples) {
    const { text, flags, source } = commandOf(name);
    assertStringIncludes(table, `\`${text}\``);
    // Access to native memory requires this flag without a path: docs/permissions.md.
    assertEquals(flags.filter((flag) => !/^--allow-(ffi|[a-z]+=\S+)$/.test(flag)), [], name);
    // They can be copied out of the checkout.
    assert(!/ from "\./.test(source), `${name} imports a file`);
  }
});

const servers = ["hono_upload", "resumable_transfer", "upload_server"];

for (const name of examples.filter((name) => !servers.includes(name))) {
  testExample(name, "needs every flag of its one command", async (example) => {
    await Deno.mkdir(example.file("examples"));
    for (const input of ["large.img", "access.log", "examples/data"]) {
      await Deno.writeFile(example.file(input), pattern(5000));
    }
    const { args, flags } = example.command;
    await Promise.all(flags.map(async (left) => {
      const { code, stderr } = await example.run(args, flags.filter((flag) => flag !== left));
      assert(code !== 0, `It does without ${left}: ${stderr}`);
    }));
    await example.succeeds();
  });
}

/** Throws unless a gzip file has this content, by another program. */
async function assertUnpacked(path: string, expected: Uint8Array): Promise<void> {
  assertEquals((await run("gunzip", ["-c", path])).bytes, expected, path);
}

/** Throws unless a run has failed, and says why. Resolves to the names in its folder. */
async function assertFails(example: Example, args: string[], says: string): Promise<string[]> {
  const { code, stderr } = await example.run(args);
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, says);
  return await namesIn(example.folder);
}

const tarBefore = (...args: string[]) => ["out.gz", "--", "tar", "--create", ...args];

testExample("backup", "writes what the command prints, or leaves the old file", async (example) => {
  await Deno.writeFile(example.file("in"), pattern(5_000_003));
  const printed = await run("tar", ["--create", "in"], { cwd: example.folder });
  // It prints the whole first file before it fails for the second one.
  const failing = tarBefore("in", "missing");
  const says = "No backup was made: 'tar' ended with exit code 2";
  assertEquals(await assertFails(example, failing, says), ["in"]);
  const { stderr } = await example.succeeds(tarBefore("in"));
  assertMatch(stderr, /^out\.gz: .* MiB read, .* written, .* durable\n$/);
  assertEquals(await assertFails(example, failing, says), ["in", "out.gz"]);
  await assertUnpacked(example.file("out.gz"), printed.bytes);
});

testExample("backup", "leaves no file when it is interrupted", async (example) => {
  await runOrThrow("mkfifo", [example.file("fifo")]);
  // tar waits at the other end of a FIFO that is never filled.
  const child = example.spawn(tarBefore("--files-from", "fifo"));
  using _names = await Deno.open(example.file("fifo"), { write: true });
  child.kill("SIGINT");
  const { code, stderr } = await ended(child);
  assertEquals([code, stderr], [1, "No backup was made: Stopped by SIGINT\n"]);
  assertEquals(await namesIn(example.folder), ["fifo"]);
});

testExample("copy_with_progress", "copies past the cache, or leaves nothing", async (example) => {
  const says = "Nothing was copied: No such file or directory";
  assertEquals(await assertFails(example, example.command.args, says), []);
  const bytes = pattern(20_000_001);
  await Deno.writeFile(example.file("large.img"), bytes, { mode: 0o640 });
  const { stdout } = await example.succeeds();
  const [, way] = /^copy\.img: 19\.1 MiB, [\d.]+ MiB\/s, durable, through (.*)\n$/.exec(stdout)!;
  const copy = example.file("copy.img");
  await using file = await DmaFile.open(copy);
  assertEquals(way === "Direct I/O", file.direct, way);
  if (file.direct) assertEquals(await cachedBytes(copy) ?? 0, 0);
  assertEquals(Deno.statSync(copy).mode! & 0o777, 0o640);
  await assertFile(copy, bytes);
});

testExample("random_reads", "merges reads of sorted keys, and finds damage", async (example) => {
  const table = example.file("table.bin");
  const small = ["--records", "50001", "--lookups", "20000"];
  const reads = async (...more: string[]) => {
    const { stdout } = await example.succeeds([...small, ...more]);
    assertStringIncludes(stdout, "20000 records of 256 bytes looked up in ");
    return Number(/^(\d+) reads of /m.exec(stdout)?.[1]);
  };
  const sorted = await reads();
  const { ino, size } = await Deno.stat(table);
  assertEquals(size, 50_001 * 256);
  const unsorted = await reads("--unsorted");
  assert(sorted * 10 < unsorted, `${sorted} reads, and unsorted ${unsorted}`);
  assertEquals((await Deno.stat(table)).ino, ino, "The table was made again");
  {
    using file = await Deno.open(table, { write: true });
    await file.seek(256 * 10_000, Deno.SeekMode.Start);
    await file.write(new Uint8Array(256 * 10_000));
  }
  await assertFails(example, small, "of 'table.bin' is damaged");
});

testExample("node_streams", "compresses and reads back, or leaves no file", async (example) => {
  assertEquals(await assertFails(example, example.command.args, "ENOENT"), []);
  const bytes = pattern(7_000_001);
  await Deno.writeFile(example.file("access.log"), bytes);
  const { stdout } = await example.succeeds();
  const said = /^access\.log: 7000001 bytes, SHA-256 [0-9a-f]{64}\naccess\.log\.gz: \d+ bytes/;
  assertMatch(stdout, said);
  await assertUnpacked(example.file("access.log.gz"), bytes);
});

testExample("worker_writes", "has every line, or leaves the old file", async (example) => {
  const { stdout } = await example.succeeds();
  const lines = Array.from({ length: 10_000 }, (_, line) => `${line},${line * line}\n`).join("");
  assertEquals(stdout, `report.csv: ${lines.length} bytes, durable\n`);
  await assertFails(example, ["report.csv", "none"], "No report was made: Cannot write NaN lines");
  assert(await Deno.readTextFile(example.file("report.csv")) === lines);
});
