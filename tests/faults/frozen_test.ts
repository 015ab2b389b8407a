// File systems that are frozen for a while (fsfreeze, as for a snapshot): the kernel keeps every write until the
// thaw. The event loop goes on, memory that the kernel has stays where it is, and afterwards all is as it was.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { hasProgram, run, runOrThrow, searchPath } from "../setup/command.ts";
import { content, firstWrong, firstWrongInFile } from "./content.ts";
import { fileSystems, type LoopMount, smallDiskTest } from "./disks.ts";
import { assertIdle, bystander, within, writeContent as write } from "./failed_writer.ts";

const MiB = 1 << 20;
const options = { bufferSize: 256 * 1024, writeBehind: 3 };

/** A call that waits for the thaw would hold the event loop until the guard comes, in half a minute. */
const MOST_PAUSE = 3000;

/** Freezes a file system for as long as `fn` takes; half a minute at most, and no longer than this process lives. */
async function whileFrozen(disk: LoopMount, fn: () => Promise<void>): Promise<void> {
  const thaw = 'read -t 30 line || fsfreeze --unfreeze "$0"';
  const guard = new Deno.Command("bash", {
    args: ["-c", thaw, disk.path],
    env: { PATH: searchPath },
    stdin: "piped",
    stdout: "null",
  }).spawn();
  try {
    await runOrThrow("fsfreeze", ["--freeze", disk.path]);
    await fn();
  } finally {
    await run("fsfreeze", ["--unfreeze", disk.path]);
    const input = guard.stdin.getWriter();
    await input.write(new TextEncoder().encode("thawed\n"));
    await input.close();
    await guard.status;
  }
}

/** How long the event loop stood still at the longest, in milliseconds, in a time in which it had nothing to do. */
async function longestPause(milliseconds: number): Promise<number> {
  const end = performance.now() + milliseconds;
  let longest = 0;
  for (let last = performance.now(); last < end;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return longest;
}

for (const type of fileSystems) {
  const test = (name: string, fn: (disk: LoopMount, directory: string) => Promise<void>) =>
    smallDiskTest(name, type, { ignore: !hasProgram("fsfreeze") || !hasProgram("bash") }, fn);

  test(
    "a writer waits while the file system is frozen, and goes on after it",
    async (disk, directory) => {
      const path = `${disk.path}/file`;
      const length = 6 * MiB + 1001;
      const writer = new DmaStreamWriter(await DmaFile.create(path), options);
      await write(writer, 0, 2 * MiB);
      const flushed = await writer.flushAligned();
      const reader = await DmaFile.open(path);
      let running = true;
      const beside = bystander(`${directory}/beside`, () => running);
      beside.catch(() => {});
      let writing: Promise<void> | undefined;
      await whileFrozen(disk, async () => {
        let over = false;
        writing = write(writer, 2 * MiB, length).then(() => writer.close());
        writing.then(() => over = true, () => over = true);
        const pause = await longestPause(300);
        assert(pause < MOST_PAUSE, `The event loop stood still for ${pause} ms`);
        // The control: it is frozen.
        assertEquals([over, writer.currentFlushedPos], [false, flushed]);
        assert(ioStats().inFlight > 0);
        assertEquals(
          firstWrong(await within(5, "readAt", reader.readAt(5, 100_000)), 100_000, 0, 5),
          -1,
        );
      });
      await within(30, "The writer", writing!);
      running = false;
      assert(await beside > 0);
      await reader.close();
      assertEquals(writer.currentFlushedPos, length);
      assertEquals((await Deno.stat(path)).size, length);
      assertEquals(await firstWrongInFile(path, length), -1);
      await assertIdle();
    },
  );

  test("abort waits for a frozen file system with all memory kept, and cuts afterwards", async (disk) => {
    const path = `${disk.path}/file`;
    const writer = new DmaStreamWriter(await DmaFile.create(path), options);
    await write(writer, 0, 2 * MiB);
    const flushed = await writer.flushAligned();
    let aborting: Promise<void> | undefined;
    await whileFrozen(disk, async () => {
      const writing = write(writer, 2 * MiB, 6 * MiB);
      writing.catch(() => {});
      await longestPause(50);
      const { poolBuffers } = ioStats();
      let over = false;
      aborting = writer.abort(new Error("Enough"));
      aborting.then(() => over = true, () => over = true);
      // Whoever waits is told at once.
      await within(5, "write", assertRejects(() => writing, Error, "Enough"));
      await within(5, "sync", assertRejects(() => writer.sync(), Error, "Enough"));
      const pause = await longestPause(200);
      assert(pause < MOST_PAUSE, `The event loop stood still for ${pause} ms`);
      assertEquals(over, false, "The kernel still has its memory");
      assert(poolBuffers > 0 && ioStats().poolBuffers > 0);
      assert(ioStats().inFlight > 0);
    });
    await within(30, "abort", aborting!);
    assert(writer.currentFlushedPos >= flushed);
    assertEquals((await Deno.stat(path)).size, writer.currentFlushedPos);
    assertEquals(await firstWrongInFile(path, writer.currentFlushedPos), -1);
    await assertIdle();
  });

  test("open, atomic files and sync wait for a frozen file system, and not the event loop", async (disk) => {
    const file = await DmaFile.create(`${disk.path}/file`);
    await file.writeAt(content(0, 8192), 0);
    const atomic = await DmaFile.create(`${disk.path}/atomic`, { atomic: true });
    await atomic.writeAt(content(0, 8192), 0);
    await atomic.sync();
    const all: Promise<unknown>[] = [];
    await whileFrozen(disk, async () => {
      let over = 0;
      const calls = [
        DmaFile.create(`${disk.path}/new`).then((file) => file.close()),
        DmaFile.create(`${disk.path}/other`, { atomic: true }).then((file) => file.close()),
        file.truncate(4096).then(() => file.rename(`${disk.path}/renamed`)),
        atomic.close(),
      ];
      all.push(...calls.map((call) => call.finally(() => over++)));
      all.forEach((call) => call.catch(() => {}));
      const pause = await longestPause(300);
      assert(pause < MOST_PAUSE, `The event loop stood still for ${pause} ms`);
      assertEquals(over, 0, "It is frozen");
    });
    await within(30, "The calls", Promise.all(all));
    await file.close();
    const names = [...Deno.readDirSync(disk.path)].map(({ name }) => name);
    assertEquals(names.filter((name) => name !== "lost+found").sort(), [
      "atomic",
      "new",
      "other",
      "renamed",
    ]);
    assertEquals((await Deno.stat(`${disk.path}/renamed`)).size, 4096);
    assertEquals(await firstWrongInFile(`${disk.path}/atomic`, 8192), -1);
    await assertIdle();
  });
}
