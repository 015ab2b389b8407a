// `--json` of `write` and `copy`: one object for each run, which agrees with the disk, also after a failure.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { TransferReport } from "../../cli/transfer_report.ts";
import { serverTest } from "../faults/machine.ts";
import { pattern } from "../support/bytes.ts";
import { dma, testDma } from "./process.ts";

/** Runs the command line with `--json`. Resolves to its object, and to standard error. */
async function report(args: string[], input?: Uint8Array<ArrayBuffer>) {
  const { code, stdout, stderr } = await dma([args[0]!, "--json", ...args.slice(1)], input);
  assertMatch(stdout, /^\{.*\}\n$/);
  const parsed: TransferReport = JSON.parse(stdout);
  assertEquals([parsed.exitCode, parsed.ok], [code, code === 0]);
  return { ...parsed, stderr };
}

/** The report of 200,001 bytes that are written without an error. */
const WRITTEN = {
  ok: true,
  bytes: 200_001,
  holes: 0,
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
  stderr: "",
};

testDma("dma --json prints one object and no line", async (dir) => {
  const path = `${dir}/out`;
  const written = async (...options: string[]) => {
    const args = ["write", "--buffer-size", "64K", "--write-behind", "3", ...options, path];
    const { seconds, rate, direct, engine, ...rest } = await report(args, pattern(200_001));
    assert(seconds > 0);
    assert(Math.abs(rate * seconds - 200_001) < 5000, `${rate} x ${seconds}`);
    assertEquals(typeof direct, "boolean");
    assert(engine === "io_uring" || engine === "threads");
    return rest;
  };
  assertEquals(await written("--verify"), { ...WRITTEN, path, verified: true });
  // An atomic file gets its name only when it is durable.
  assertEquals(await written("--atomic", "--no-sync"), { ...WRITTEN, path, atomic: true });
  // The kernel appends one write after the other.
  const appended = { writeBehind: 1, appended: true, synced: false, fileSize: 400_002 };
  assertEquals(await written("--append", "--no-sync"), { ...WRITTEN, path, ...appended });
});

testDma("dma --json describes the error, and the untouched file", async (dir) => {
  const path = `${dir}/missing/out`;
  const written = await report(["write", path], pattern(10));
  assertMatch(written.stderr, /^dma: No such file or directory/);
  const { bytes, direct, engine, bufferSize, fileSize } = written;
  assertEquals([bytes, direct, engine, bufferSize, fileSize], [0, null, null, null, null]);
  assertEquals(written.error, {
    message: `No such file or directory (os error 2): open '${path}'`,
    name: "NotFound",
    code: "ENOENT",
    errno: 2,
    op: "open",
    path,
    remedy: `make its directory first: mkdir -p ${dir}/missing`,
  });
  await Deno.writeTextFile(`${dir}/out`, "old");
  // A name can contain ends of lines, and quotes.
  const missing = `${dir}/it's\nmissing`;
  const copied = await report(["copy", missing, `${dir}/out`]);
  const message = `No such file or directory (os error 2): stat '${missing}'`;
  const { code, op, path: named } = copied.error!;
  assertEquals([code, op, named, copied.error!.message], ["ENOENT", "stat", missing, message]);
  assertEquals([copied.fileSize, copied.seconds, copied.synced], [3, 0, false]);
  assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
});

serverTest("dma syncs, and tells whether a failure leaves the new file", async (server) => {
  const path = `${server.path}/out`;
  await server.command("fault fsync err 5 1");
  assertEquals((await report(["write", "--no-sync", path], pattern(5000))).synced, false);
  const unsynced = await report(["write", path], pattern(5000));
  assertEquals([unsynced.error?.code, unsynced.bytes, unsynced.synced], ["EIO", 5000, false]);
  // Operations that can fail, and whether the file has its name then.
  const failures = [["fsync", false], ["rename", false], ["fsyncdir", true]] as const;
  for (const [operation, isThere] of failures) {
    await Deno.writeTextFile(path, "old");
    await server.command(`fault ${operation} err 5 1`);
    const failed = await report(["write", "--atomic", path], pattern(5000));
    const remains = isThere
      ? `${path} is the new file, but a power cut can lose it`
      : `nothing kept, ${path} is as it was before`;
    assertEquals(failed.stderr.split("\n").slice(1), [`dma: failed; ${remains}`, ""]);
    const { error, bytes, fileSize, synced } = failed;
    const facts = isThere ? [5000, 5000] : [0, 3];
    assertEquals([error?.code, bytes, fileSize, synced], ["EIO", ...facts, false], operation);
  }
});
