// Signals at random moments: the promised bytes are there afterwards, and no bytes that were never written.
// DMA_KILL_ROUNDS sets the number of rounds; DMA_KILL_SEED repeats a run.

import { assert, assertEquals } from "@std/assert";
import { lines, pause } from "../setup/command.ts";
import { Random } from "../simulator/random.ts";
import { namesIn, openWith } from "../support/bytes.ts";
import { diskTest } from "./disks.ts";
import { type Account, assertKept, type Life, Writing } from "./killed.ts";
import { engines, engineTest, serverTest } from "./machine.ts";
import { spawn } from "./programs.ts";
import { isLog, kinds, pathOf } from "./programs/write_on.ts";

const rounds = Number(Deno.env.get("DMA_KILL_ROUNDS") ?? 56);
const firstSeed = Number(Deno.env.get("DMA_KILL_SEED") ?? Math.floor(Math.random() * 1e6));

/** The signals that end the processes. The module handles none of them. */
const signals: Deno.Signal[] = ["SIGKILL", "SIGINT", "SIGTERM", "SIGHUP"];

/** Longest time that a process may live, in milliseconds after its first word. */
const LONGEST_LIFE = 250;

/** Ends a process by a signal: in the first round in the midst of a file, afterwards at a random moment. */
async function writeAndKill(life: Life, round: number, signal: Deno.Signal): Promise<Account> {
  const writing = new Writing(life);
  if (round === 0) await writing.reach("flushed");
  else {
    writing.letGo();
    await writing.reach("open");
    await pause(new Random(life.seed).next() * LONGEST_LIFE);
  }
  await writing.end(signal);
  const description = `Seed ${life.seed}, round ${round}`;
  return { ...life, promised: writing.promised(), loss: "killed", description };
}

/** The position at which a log continues: after what is durable, or at the end of the file. */
async function resumeAt({ kind, folder, promised, position = 0 }: Account): Promise<number> {
  if (kind === "append") return (await Deno.stat(pathOf(kind, folder, 0))).size;
  return Math.max(position, promised.get(0)!.synced);
}

for (const kind of kinds) {
  const share = Math.max(1, Math.round(rounds / (kinds.length * engines.length)));
  const name = `a signal takes nothing that was promised, ${share} times [${kind}]`;
  engineTest(name, async (dir, engine) => {
    let position = 0;
    for (let round = 0; round < share; round++) {
      // A log is one file, which each process continues.
      const folder = `${dir}/${isLog(kind) ? "log" : round}`;
      await Deno.mkdir(folder, { recursive: true });
      const life = { kind, folder, seed: firstSeed + round, position, engine };
      const account = await writeAndKill(life, round, signals[round % signals.length]!);
      await assertKept(account);
      if (isLog(kind)) position = await resumeAt(account);
      else await Deno.remove(folder, { recursive: true });
    }
  });
}

const KILLS = 6;

for (const engine of engines) {
  const name = "where every file needs a name a SIGKILL leaves a hidden one at most";
  serverTest(`${name}, ${KILLS} times [${engine}]`, async (server) => {
    for (let round = 0; round < KILLS; round++) {
      for (const name of await namesIn(server.backing)) await Deno.remove(`${server.path}/${name}`);
      const seed = firstSeed + round;
      const life = { kind: "atomic", folder: server.path, seed, engine } as const;
      const account = await writeAndKill(life, round, "SIGKILL");
      await assertKept({ ...account, folder: server.backing });
      const hidden = (await namesIn(server.backing)).filter((name) => name.startsWith("."));
      assert(round > 0 || hidden.length === 1, "In the midst of a file its name is a hidden one");
    }
  });
}

for (const engine of engines) {
  const name = `a killed process keeps the lock of a file until its writes have ended [${engine}]`;
  diskTest(name, async (disk, memory) => {
    const path = disk.file("file");
    const length = 1 << 18;
    await using file = await openWith(path, new Uint8Array(length));
    await file.sync();
    await memory.command("fault write delay 1000");
    const child = spawn("lock_and_write", { args: [path], env: { DMA_ENGINE: engine } });
    const output = lines(child.stdout);
    try {
      assertEquals((await output.next()).value, "in flight");
      assert(!await file.tryLock(true));
      assert((await file.readAt(0, length)).includes(0), "The writes have ended too soon");
    } finally {
      child.kill("SIGKILL");
    }
    await file.lock(true);
    const bytes = await file.readAt(0, length);
    await pause(1500);
    assertEquals(await file.readAt(0, length), bytes, "A write has ended under the lock");
    await output.return?.();
    await Promise.all([child.stdin.close().catch(() => {}), child.stderr.cancel(), child.status]);
    // On ext4 the first read after a change may wait for the journal, and so for the writes.
  }, { types: ["xfs"] });
}
