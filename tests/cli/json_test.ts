// `--json` of `write` and `copy`: one object for each run, which agrees with the disk, also after a failure.

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import type { TransferReport } from "../../cli/transfer_report.ts";
import { serverTest } from "../faults/fault_file_system.ts";
import { namesIn, pattern } from "../support/bytes.ts";
import { dma, interrupt, shell, testInDirectory } from "./process.ts";

function parse(stdout: string): TransferReport {
  assertMatch(stdout, /^\{.*\}\n$/);
  return JSON.parse(stdout);
}

testInDirectory("dma write --json prints one object and no line", async (dir) => {
  const args = ["write", "--json", "--buffer-size", "64K", "--write-behind", "3", `${dir}/out`];
  const { code, stdout, stderr } = await dma(args, pattern(200_001));
  assertEquals([code, stderr], [0, ""]);
  const { seconds, rate, direct, engine, ...rest } = parse(stdout);
  assertEquals(rest, {
    ok: true,
    bytes: 200_001,
    holes: 0,
    path: `${dir}/out`,
    bufferSize: 65_536,
    writeBehind: 3,
    synced: true,
    verified: false,
    atomic: false,
    appended: false,
    fileSize: 200_001,
    signal: null,
    error: null,
    exitCode: 0,
  });
  assertGreater(seconds, 0);
  assert(Math.abs(rate * seconds - 200_001) < 5000, `${rate} x ${seconds}`);
  assertEquals(typeof direct, "boolean");
  assert(engine === "io_uring" || engine === "threads");
});

testInDirectory("dma copy --json distinguishes --atomic, --append and --no-sync", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(5000));
  const report = async (...args: string[]) => {
    const ran = await dma(["copy", "--json", ...args, `${dir}/in`, `${dir}/out`]);
    const { atomic, appended, synced, bytes, fileSize } = parse(ran.stdout);
    return { atomic, appended, synced, bytes, fileSize };
  };
  const copied = { atomic: true, appended: false, synced: true, bytes: 5000, fileSize: 5000 };
  // An atomic file gets its name only when it is durable.
  assertEquals(await report("--atomic", "--no-sync"), copied);
  const appended = { ...copied, atomic: false, appended: true, synced: false, fileSize: 10_000 };
  assertEquals(await report("--append", "--no-sync"), appended);
});

testInDirectory("dma write --json describes the error, and the untouched file", async (dir) => {
  const path = `${dir}/missing/out`;
  const { code, stdout, stderr } = await dma(["write", "--json", path], pattern(10));
  assertEquals(code, 1);
  assertMatch(stderr, /^dma: No such file or directory/);
  const { ok, bytes, direct, engine, bufferSize, fileSize, error, exitCode } = parse(stdout);
  assertEquals({ ok, bytes, direct, engine, bufferSize, fileSize, error, exitCode }, {
    ok: false,
    bytes: 0,
    direct: null,
    engine: null,
    bufferSize: null,
    fileSize: null,
    error: {
      message: `No such file or directory (os error 2): open '${path}'`,
      name: "NotFound",
      code: "ENOENT",
      errno: 2,
      op: "open",
      path,
      remedy: `make its directory first: mkdir -p ${dir}/missing`,
    },
    exitCode: 1,
  });
});

testInDirectory("dma copy of a missing source leaves the destination alone", async (dir) => {
  await Deno.writeTextFile(`${dir}/out`, "old");
  // A name can contain ends of lines, and quotes.
  const missing = `${dir}/it's\nmissing`;
  const { stdout } = await dma(["copy", "--json", missing, `${dir}/out`]);
  const { error, fileSize, seconds, synced } = parse(stdout);
  assertEquals([error?.code, error?.op, error?.path], ["ENOENT", "stat", missing]);
  assertEquals(error?.message, `No such file or directory (os error 2): stat '${missing}'`);
  assertEquals([fileSize, seconds, synced], [3, 0, false]);
  assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
});

testInDirectory("dma write --json reports the kept bytes after SIGINT", async (dir) => {
  for (const atomic of [false, true]) {
    await Deno.writeTextFile(`${dir}/out`, "old");
    const flags = ["--json", "--buffer-size", "64K", ...(atomic ? ["--atomic"] : [])];
    const args = ["write", ...flags, `${dir}/out`];
    const { code, stdout, stderr } = await interrupt(args, { input: pattern(2_000_000) });
    const { ok, signal, error, bytes, fileSize, synced, exitCode } = parse(stdout);
    assertEquals([code, exitCode, ok, signal, error], [130, 130, false, "SIGINT", null]);
    const { size } = await Deno.stat(`${dir}/out`);
    assertEquals([bytes, fileSize, synced], [atomic ? 0 : size, size, !atomic]);
    if (!atomic) continue;
    assertMatch(stderr, /^dma: stopped by SIGINT; nothing kept, .*out is as it was before\n$/);
    assertEquals(await namesIn(dir), ["out"]);
    assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
  }
}, { bothEngines: true });

testInDirectory("dma write --json reports that its object cannot be printed", async (dir) => {
  const { code, stderr } = await shell(dir, 'dma write --json "$dir/out" </dev/null >/dev/full');
  const error = "dma: Cannot print the JSON object: No space left on device (os error 28)";
  assertEquals([code, stderr], [1, `${error}; 0 bytes are in ${dir}/out\n`]);
});

/** Operations at which an atomic write can fail, and whether the file has its name then. */
const failures = { fsync: false, rename: false, fsyncdir: true };

for (const [operation, isThere] of Object.entries(failures)) {
  serverTest(
    `dma --atomic tells whether a failed ${operation} leaves the new file`,
    async (server) => {
      const path = `${server.path}/out`;
      await Deno.writeTextFile(path, "old");
      await server.fault(`${operation} err 5 1`);
      const args = ["write", "--atomic", "--json", path];
      const { code, stdout, stderr } = await dma(args, pattern(5000));
      const { bytes, fileSize, synced, error } = parse(stdout);
      const remains = isThere
        ? `${path} is the new file, but a power cut can lose it`
        : `nothing kept, ${path} is as it was before`;
      assertEquals(stderr.split("\n").slice(1), [`dma: failed; ${remains}`, ""]);
      const facts = isThere ? [5000, 5000] : [0, 3];
      assertEquals([code, error?.code, bytes, fileSize, synced], [1, "EIO", ...facts, false]);
    },
  );
}
