// The examples that work on files: each by its one command, from the checkout and by the URL of mod.ts alone.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { assertFile, assertNoFile, namesIn, pattern } from "../support/bytes.ts";
import "../support/engine.ts";
import { commandOf, ended, type Example, testExample } from "./examples/example.ts";
import { cachedBytes, hasProgram, run, runOrThrow } from "../setup/command.ts";

const root = new URL("../../", import.meta.url);
const folder = new URL("examples/", root);

const examples = [...Deno.readDirSync(folder)]
  .filter(({ name }) => name.endsWith(".ts"))
  .map(({ name }) => name.replace(/\.ts$/, ""))
  .sort();

Deno.test("The table of the examples has the one command of each", () => {
  const table = Deno.readTextFileSync(new URL("README.md", folder));
  for (const name of examples) assertStringIncludes(table, `\`${commandOf(name).text}\``);
});

Deno.test("No example is given a permission for everything", () => {
  for (const name of examples) {
    for (const flag of commandOf(name).flags) {
      // Memory of the kernel's is not to be had with less: README, Permissions.
      assert(flag === "--allow-ffi" || /^--allow-[a-z]+=\S+$/.test(flag), `${name}: ${flag}`);
    }
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
    const { code, stderr } = await example.run();
    assertEquals(code, 0, stderr);
  }, { runners: ["checkout"] });
}

testExample(
  examples[0]!,
  "has its types, as all others, where there is only mod.ts",
  async (example) => {
    for (const name of examples) {
      await Deno.copyFile(new URL(`${name}.ts`, folder), example.file(`examples/${name}.ts`));
    }
    const { success, stderr } = await run(
      Deno.execPath(),
      ["check", "--quiet", ...example.extraFlags, "examples"],
      { cwd: example.folder, env: { NO_COLOR: "1", ...example.env } },
    );
    assert(success, stderr);
  },
  { runners: ["stranger"] },
);

/** What programs that know nothing of this module unpack from a gzip file. */
async function gunzip(path: string): Promise<Uint8Array> {
  const { success, stdout } = await new Deno.Command("gunzip", { args: ["-c", path] }).output();
  assert(success, `'${path}' is no gzip file`);
  return stdout;
}

testExample("backup", "makes a file that tar unpacks, by its one command", async (example) => {
  const archived = example.file("examples/data");
  await Deno.mkdir(example.file("examples"), { recursive: true });
  await Deno.writeFile(archived, pattern(3_000_001));
  const { code, stderr } = await example.run();
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^backup\.tar\.gz: .* MiB read, .* written, .* durable\n$/);
  await Deno.remove(archived);
  await runOrThrow("tar", ["-xzf", "backup.tar.gz"], { cwd: example.folder });
  await assertFile(archived, pattern(3_000_001));
});

const tarBefore = (args: readonly string[]) => ["out.gz", "--", "tar", ...args];

testExample("backup", "writes just what the command prints", async (example) => {
  const bytes = pattern(5_000_003);
  await Deno.writeFile(example.file("in"), bytes);
  const { code, stderr } = await example.run(tarBefore(["--create", "in"]));
  assertEquals(code, 0, stderr);
  const { stdout } = await new Deno.Command("tar", {
    args: ["--create", "in"],
    cwd: example.folder,
  }).output();
  assertEquals(await gunzip(example.file("out.gz")), stdout);
}, { runners: ["checkout"] });

testExample(
  "backup",
  "leaves no file when the command fails, and an old one as it was",
  async (example) => {
    await Deno.writeFile(example.file("in"), pattern(5_000_003));
    // It prints all of the one file before it fails for the other.
    const failing = tarBefore(["--create", "in", "missing"]);
    const first = await example.run(failing);
    assertEquals(first.code, 1, first.stderr);
    assertStringIncludes(first.stderr, "No backup was made: 'tar' ended with exit code 2");
    assertEquals(await namesIn(example.folder), ["in"]);
    await Deno.writeTextFile(example.file("out.gz"), "old");
    assertEquals((await example.run(failing)).code, 1);
    assertEquals(await Deno.readTextFile(example.file("out.gz")), "old");
  },
  { runners: ["checkout"] },
);

testExample("backup", "leaves no file when it is interrupted", async (example) => {
  await runOrThrow("mkfifo", [example.file("fifo")]);
  // tar waits at the other end of a FIFO that is never filled.
  const child = example.spawn(tarBefore(["--create", "--files-from", "fifo"]));
  const names = await Deno.open(example.file("fifo"), { write: true });
  child.kill("SIGINT");
  const { code, stderr } = await ended(child);
  names.close();
  assertEquals(code, 1);
  assertEquals(stderr, "No backup was made: Stopped by SIGINT\n");
  assertEquals(await namesIn(example.folder), ["fifo"]);
}, { runners: ["checkout"] });

/** A file as this module finds it, closed again. */
async function opened(path: string): Promise<DmaFile> {
  const file = await DmaFile.open(path);
  await file.close();
  return file;
}

testExample(
  "copy_with_progress",
  "copies, and leaves the page cache alone, by its one command",
  async (example) => {
    const bytes = pattern(20_000_001);
    await Deno.writeFile(example.file("large.img"), bytes, { mode: 0o640 });
    const { code, stdout, stderr } = await example.run();
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^copy\.img: 19\.1 MiB, [\d.]+ MiB\/s, durable, through /);
    const { direct } = await opened(example.file("copy.img"));
    assertEquals(stdout.includes("through Direct I/O"), direct, stdout);
    if (direct && hasProgram("fincore")) {
      assertEquals(await cachedBytes(example.file("copy.img")), 0);
    }
    assertEquals(Deno.statSync(example.file("copy.img")).mode! & 0o777, 0o640);
    await assertFile(example.file("copy.img"), bytes);
  },
);

testExample(
  "copy_with_progress",
  "leaves nothing when the source cannot be read",
  async (example) => {
    const { code, stderr } = await example.run();
    assertEquals(code, 1);
    assertStringIncludes(stderr, "Nothing was copied: No such file or directory");
    await assertNoFile(example.file("copy.img"));
  },
  { runners: ["checkout"] },
);

const smallTable = ["--records", "50001", "--lookups", "20000"];

/** Runs the lookups, and resolves to how many reads they took. */
async function lookUp(example: Example, ...more: string[]): Promise<number> {
  const { code, stdout, stderr } = await example.run([...smallTable, ...more]);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "20000 records of 256 bytes looked up in ");
  return Number(/^(\d+) reads of /m.exec(stdout)?.[1]);
}

testExample(
  "random_reads",
  "makes its table once, and merges reads of sorted keys",
  async (example) => {
    const sorted = await lookUp(example);
    const { ino, size } = await Deno.stat(example.file("table.bin"));
    assertEquals(size, 50_001 * 256);
    const unsorted = await lookUp(example, "--unsorted");
    assert(sorted * 10 < unsorted, `${sorted} reads, and unsorted ${unsorted}`);
    assertEquals((await Deno.stat(example.file("table.bin"))).ino, ino);
  },
);

testExample("random_reads", "finds a damaged record", async (example) => {
  await lookUp(example);
  {
    using table = await Deno.open(example.file("table.bin"), { write: true });
    // All but the first record, which then must be among those that are looked up.
    await table.seek(256 * 10_000, Deno.SeekMode.Start);
    await table.write(new Uint8Array(256 * 10_000));
  }
  const { code, stderr } = await example.run(smallTable);
  assertEquals(code, 1);
  assertMatch(stderr, /Record 1\d{4} of 'table\.bin' is damaged/);
}, { runners: ["checkout"] });

testExample("node_streams", "compresses and reads back, by its one command", async (example) => {
  const bytes = pattern(7_000_001);
  await Deno.writeFile(example.file("access.log"), bytes);
  const { code, stdout, stderr } = await example.run();
  assertEquals(code, 0, stderr);
  assertMatch(
    stdout,
    /^access\.log: 7000001 bytes, SHA-256 [0-9a-f]{64}\naccess\.log\.gz: \d+ bytes/,
  );
  assertEquals(await gunzip(example.file("access.log.gz")), bytes);
});

testExample("node_streams", "leaves no file when the source cannot be read", async (example) => {
  const { code, stderr } = await example.run();
  assertEquals(code, 1);
  assertStringIncludes(stderr, "ENOENT");
  assertEquals((await namesIn(example.folder)).filter((name) => name.includes("access")), []);
}, { runners: ["checkout"] });

testExample(
  "worker_writes",
  "has every line of the Worker, by its one command",
  async (example) => {
    const { code, stdout, stderr } = await example.run();
    assertEquals([code, stderr], [0, ""]);
    const lines = Array.from({ length: 10_000 }, (_, line) => `${line},${line * line}\n`).join("");
    assertEquals(stdout, `report.csv: ${lines.length} bytes, durable\n`);
    assert(await Deno.readTextFile(example.file("report.csv")) === lines);
  },
);

testExample(
  "worker_writes",
  "leaves an old file as it was when the Worker fails",
  async (example) => {
    await Deno.writeTextFile(example.file("report.csv"), "old");
    const { code, stdout, stderr } = await example.run(["report.csv", "none"]);
    assertEquals([code, stdout], [1, ""]);
    assertEquals(stderr, "No report was made: Cannot write NaN lines\n");
    assertEquals(await Deno.readTextFile(example.file("report.csv")), "old");
  },
  { runners: ["checkout"] },
);
