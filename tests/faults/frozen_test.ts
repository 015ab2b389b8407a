// File systems that hang for a while, or are slow. While one is frozen (fsfreeze, as for a snapshot) the kernel holds
// every write until the thaw: the event loop continues, memory in use by the kernel is not released, and work continues
// afterwards. Deno's own file operations and lookups, which share its threads with the module, continue too.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { pause, run, runOrThrow, searchPath, within } from "../setup/command.ts";
import { namesIn } from "../support/bytes.ts";
import { content } from "./content.ts";
import { diskTest } from "./disks.ts";
import { assertContent, finish, MiB, writeContent } from "./failed_writer.ts";
import { FaultFileSystem, serverTest } from "./fault_file_system.ts";
import { engines, folderTest, whileUp } from "./machine.ts";
import { resultOf, spawn } from "./programs.ts";
import { lines } from "./tools.ts";

/** A call that waits for the thaw would block the event loop until the guard thaws after half a minute. */
const MOST_PAUSE = 3000;

/**
 * Freezes a file system while `fn` starts calls and checks them, for at most half a minute and no longer than this process
 * lives. The event loop must continue, and no call may end before the thaw. Waits for all of them.
 */
async function whileFrozen(path: string, fn: () => Promise<Promise<unknown>[]>): Promise<void> {
  const guard = new Deno.Command("bash", {
    args: ["-c", 'read -t 30 line || fsfreeze --unfreeze "$0"', path],
    env: { PATH: searchPath },
    stdin: "piped",
  }).spawn();
  let calls: Promise<unknown>[] = [];
  let over = 0;
  try {
    await runOrThrow("fsfreeze", ["--freeze", path]);
    calls = await fn();
    for (const call of calls) call.then(() => over++, () => over++);
    const longest = await longestPause(300);
    assert(longest < MOST_PAUSE, `The event loop stood still for ${longest} ms`);
    assertEquals(over, 0, "It is frozen");
  } finally {
    await run("fsfreeze", ["--unfreeze", path]);
    await new Blob(["thawed\n"]).stream().pipeTo(guard.stdin);
    await guard.status;
  }
  await within(30, "The calls", Promise.all(calls));
}

/** The longest stall of an idle event loop, in milliseconds. */
async function longestPause(milliseconds: number): Promise<number> {
  let longest = 0;
  const end = performance.now() + milliseconds;
  for (let last = performance.now(), now = last; last < end; last = now) {
    await pause(5);
    now = performance.now();
    longest = Math.max(longest, now - last);
  }
  return longest;
}

diskTest("calls wait for a frozen file system, and the event loop does not", async (disk) => {
  const at = (name: string) => disk.file(name);
  /** A writer with about two flushed MiB. */
  const begin = async (path: string) => {
    const options = { bufferSize: 256 * 1024, writeBehind: 3 };
    const writer = new DmaStreamWriter(await DmaFile.create(path), options);
    await writeContent(writer, 2 * MiB);
    return { writer, flushed: await writer.flushAligned() };
  };
  const length = 6 * MiB + 1001;
  const { writer, flushed } = await begin(at("written"));
  const { writer: aborted, flushed: least } = await begin(at("aborted"));
  const file = await DmaFile.create(at("file"));
  await file.writeAt(content(0, 8192), 0);
  const atomic = await DmaFile.create(at("atomic"), { atomic: true });
  await atomic.writeAt(content(0, 8192), 0);
  await atomic.sync();
  await using reader = await DmaFile.open(at("written"));
  await whileFrozen(disk.path, async () => {
    const writing = finish(writer, length);
    assertEquals(await within(5, "readAt", reader.readAt(5, 100_000)), content(5, 100_000));
    assertEquals(writer.currentFlushedPos, flushed);
    const failing = writeContent(aborted, 6 * MiB);
    failing.catch(() => {});
    await pause(50);
    const aborting = aborted.abort(new Error("Enough"));
    const { poolBuffers, inFlight } = ioStats();
    assert(poolBuffers > 0 && inFlight > 0, "The kernel still has its memory");
    // A caller that has seen the failure may create the file again, which must not be cut then.
    const failed = [failing, aborted.sync()];
    return [
      writing,
      aborting,
      ...failed.map((call) => assertRejects(() => call, Error, "Enough")),
      DmaFile.create(at("new")).then((file) => file.close()),
      DmaFile.create(at("other"), { atomic: true }).then((file) => file.close()),
      file.truncate(4096).then(() => file.rename(at("renamed"))),
      atomic.close(),
    ];
  });
  await file.close();
  assertEquals(writer.currentFlushedPos, length);
  await assertContent(at("written"), length);
  assert(aborted.currentFlushedPos >= least);
  await assertContent(at("aborted"), aborted.currentFlushedPos);
  await assertContent(at("renamed"), 4096);
  await assertContent(at("atomic"), 8192);
  const names = (await namesIn(disk.path)).filter((name) => name !== "lost+found");
  assertEquals(names, ["aborted", "atomic", "new", "other", "renamed", "written"]);
}, ["fsfreeze", "bash"]);

// ---- servers ---------------------------------------------------------------------------------------------------

for (const engine of engines) {
  serverTest(`a program ends in time while its server stands still [${engine}]`, async (server) => {
    const other = `${server.backing}/other`;
    const args = [`${server.path}/file`, other];
    const child = spawn("end_beside_server", { args, env: { DMA_ENGINE: engine } });
    const input = child.stdin.getWriter();
    const output = lines(child.stdout);
    assertEquals((await output.next()).value, "ready");
    server.daemon.child.kill("SIGSTOP");
    try {
      await input.write(new Uint8Array(1));
      assertEquals((await within(30, "The end", output.next())).value, "over");
    } finally {
      server.daemon.child.kill("SIGCONT");
    }
    await output.return?.();
    await input.close();
    const told = await new Response(child.stderr).text();
    assertStringIncludes(told, `'${args[0]}' does not have everything that was written to it`);
    await child.status;
    // Files on other file systems are complete.
    assert(!told.includes(other), told);
    await assertContent(other, 3_000_001);
  });
}

/** The time of one read, in milliseconds. */
const DELAY = 150;
/** More reads than Deno has threads. */
const READS = 64;

folderTest("the threads engine at its busiest leaves threads to Deno's own file operations", [
  "root",
  "gcc",
  "fuse",
], async (directory) => {
  await whileUp(await FaultFileSystem.open(directory), async (files) => {
    await Deno.writeFile(`${files.backing}/slow`, content(0, READS * 4096));
    await files.fault(`read delay ${DELAY}`);
    const busy = await resultOf("busyThreads", [`${files.path}/slow`, directory, String(READS)], {
      env: { DMA_ENGINE: "threads" },
    });
    assertEquals([busy.wrong, busy.inFlight], [-1, READS]);
    assert(busy.reads > DELAY * 2, `The reads must take their time: ${busy.reads} ms`);
    assert(busy.slowest < DELAY * 2, `One of Deno's own operations took ${busy.slowest} ms`);
  });
});
