// File systems that hang for a while, or are slow. While one is frozen (fsfreeze, as for a snapshot) the kernel holds
// every write until the thaw: the event loop continues, memory in use by the kernel is not released, and work continues
// afterwards. Deno's own file operations and lookups, which share its threads with the module, continue too.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { hasProgram, pause, run, runOrThrow, searchPath, within } from "../setup/command.ts";
import { namesIn } from "../support/bytes.ts";
import { content, firstWrong } from "./content.ts";
import { type LoopMount, smallDiskTest } from "./disks.ts";
import { assertContent, bystander, MiB, ways, writeContent } from "./failed_writer.ts";
import { FaultFileSystem, serverTest } from "./fault_file_system.ts";
import { engines, folderTest, whileUp } from "./machine.ts";
import { copyModule } from "./module_copy.ts";
import { resultOf, spawn } from "./programs.ts";
import { lines } from "./tools.ts";

/** A call that waits for the thaw would block the event loop until the guard thaws after half a minute. */
const MOST_PAUSE = 3000;

/**
 * Freezes a file system while `fn` starts calls and checks them, for at most half a minute and no longer than this
 * process lives. The event loop must continue, and no call may end before the thaw. Waits for all of them.
 */
async function whileFrozen(
  disk: LoopMount,
  fn: () => Promise<unknown>[] | Promise<Promise<unknown>[]>,
): Promise<void> {
  const thaw = 'read -t 30 line || fsfreeze --unfreeze "$0"';
  const guard = new Deno.Command("bash", {
    args: ["-c", thaw, disk.path],
    env: { PATH: searchPath },
    stdin: "piped",
    stdout: "null",
  }).spawn();
  let calls: Promise<unknown>[] = [];
  let over = 0;
  try {
    await runOrThrow("fsfreeze", ["--freeze", disk.path]);
    calls = await fn();
    for (const call of calls) call.then(() => over++, () => over++);
    const longest = await longestPause(300);
    assert(longest < MOST_PAUSE, `The event loop stood still for ${longest} ms`);
    assertEquals(over, 0, "It is frozen");
  } finally {
    await run("fsfreeze", ["--unfreeze", disk.path]);
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

function frozenTest(
  name: string,
  fn: (disk: LoopMount, path: string, directory: string) => Promise<void>,
): void {
  const run = (disk: LoopMount, directory: string) => fn(disk, `${disk.path}/file`, directory);
  smallDiskTest(name, run, { ignore: !hasProgram("fsfreeze") || !hasProgram("bash") });
}

/** A writer with about two flushed MiB. */
async function begin(path: string): Promise<{ writer: DmaStreamWriter; flushed: number }> {
  const options = { bufferSize: 256 * 1024, writeBehind: 3 };
  const writer = new DmaStreamWriter(await DmaFile.create(path), options);
  await writeContent(writer, 0, 2 * MiB);
  return { writer, flushed: await writer.flushAligned() };
}

frozenTest("a writer waits while the file system is frozen", async (disk, path, directory) => {
  const { writer, flushed } = await begin(path);
  await using reader = await DmaFile.open(path);
  await using _ = bystander(directory);
  const length = 6 * MiB + 1001;
  await whileFrozen(disk, async () => {
    const writing = ways["write()"](writer, length);
    const read = await within(5, "readAt", reader.readAt(5, 100_000));
    assertEquals(firstWrong(read, 100_000, 0, 5), -1);
    assertEquals(writer.currentFlushedPos, flushed);
    assert(ioStats().inFlight > 0);
    return [writing];
  });
  assertEquals(writer.currentFlushedPos, length);
  await assertContent(path, length);
});

frozenTest("abort waits for a frozen file system, and cuts afterwards", async (disk, path) => {
  const { writer, flushed } = await begin(path);
  await whileFrozen(disk, async () => {
    const writing = writeContent(writer, 2 * MiB, 6 * MiB);
    writing.catch(() => {});
    await pause(50);
    const aborting = writer.abort(new Error("Enough"));
    const { poolBuffers, inFlight } = ioStats();
    assert(poolBuffers > 0 && inFlight > 0, "The kernel still has its memory");
    // A caller that has seen the failure may create the file again, which must not be cut then.
    const failed = [writing, writer.sync()];
    return [aborting, ...failed.map((call) => assertRejects(() => call, Error, "Enough"))];
  });
  assert(writer.currentFlushedPos >= flushed);
  await assertContent(path, writer.currentFlushedPos);
});

frozenTest("open, atomic files and renames wait, and not the event loop", async (disk, path) => {
  const file = await DmaFile.create(path);
  await file.writeAt(content(0, 8192), 0);
  const atomic = await DmaFile.create(`${disk.path}/atomic`, { atomic: true });
  await atomic.writeAt(content(0, 8192), 0);
  await atomic.sync();
  await whileFrozen(disk, () => [
    DmaFile.create(`${disk.path}/new`).then((file) => file.close()),
    DmaFile.create(`${disk.path}/other`, { atomic: true }).then((file) => file.close()),
    file.truncate(4096).then(() => file.rename(`${disk.path}/renamed`)),
    atomic.close(),
  ]);
  await file.close();
  const names = (await namesIn(disk.path)).filter((name) => name !== "lost+found");
  assertEquals(names, ["atomic", "new", "other", "renamed"]);
  await assertContent(`${disk.path}/renamed`, 4096);
  await assertContent(`${disk.path}/atomic`, 8192);
});

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

folderTest("the threads engine at its busiest leaves threads to Deno's own file operations", {
  needs: ["root", "gcc", "fuse"],
}, async (directory) => {
  await whileUp(await FaultFileSystem.open(directory), async (files) => {
    const { path, backing } = files;
    await Deno.writeFile(`${backing}/slow`, content(0, READS * 4096));
    await files.fault(`read 0 delay ${DELAY}`);
    const measure = (module?: string) => {
      const options = { env: { DMA_ENGINE: "threads" }, ...module ? { module } : {} };
      return resultOf("busyThreads", [`${path}/slow`, directory, String(READS)], options);
    };
    const busy = await measure();
    assertEquals(busy.wrong, -1);
    assertEquals(busy.inFlight, READS);
    assert(busy.reads > DELAY * 2, `The reads must take their time: ${busy.reads} ms`);
    assert(busy.slowest < DELAY * 2, `One of Deno's own operations took ${busy.slowest} ms`);

    // The control: with an engine that takes every thread, Deno waits for nearly all of the time.
    const module = await copyModule(`${directory}/module`, {
      file: "src/engine/thread_calls.ts",
      from: "return free > 0 && own < Math.ceil((free + own) * SHARE);",
      to: "return true;",
    });
    const greedy = await measure(module);
    assert(greedy.slowest > DELAY * 2, `${greedy.slowest} ms: nothing was starved`);
  });
});
