// Signals at random moments: the promised bytes are there afterwards, and no bytes that were never written.
// DMA_KILL_ROUNDS sets the number of rounds; DMA_KILL_SEED repeats a run.

import { assert } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { serverTest } from "./fault_file_system.ts";
import { assertKept, resumeAt, writeAndKill } from "./killed.ts";
import { engines, folderTest } from "./machine.ts";
import { isLog, kinds } from "./programs/write_on.ts";

const rounds = Number(Deno.env.get("DMA_KILL_ROUNDS") ?? 72);
const firstSeed = Number(Deno.env.get("DMA_KILL_SEED") ?? Math.floor(Math.random() * 1e6));

/** Which signals end the processes. The module handles none of them. */
const signals = ["SIGKILL", "SIGKILL", "SIGINT", "SIGTERM", "SIGHUP"] as const;

for (const kind of kinds) {
  for (const engine of engines) {
    const share = Math.max(1, Math.round(rounds / (kinds.length * engines.length)));
    const name = `a signal takes nothing that was promised, ${share} times`;
    folderTest(`${name} [${kind}, ${engine}]`, [], async (dir) => {
      let inMidst = 0;
      let position = 0;
      for (let round = 0; round < share; round++) {
        const seed = firstSeed + round;
        // A log is one file, which each process continues.
        const folder = `${dir}/${isLog(kind) ? "log" : round}`;
        await Deno.mkdir(folder, { recursive: true });
        // The first one is certainly killed in the middle of a file.
        const life = round === 0 ? 0 : undefined;
        const signal = signals[round % signals.length];
        const account = await writeAndKill({ kind, folder, seed, position, engine }, signal, life);
        if ([...account.promised.values()].at(-1)?.closed === false) inMidst++;
        await assertKept(account);
        if (isLog(kind)) position = await resumeAt(account, position);
        else await Deno.remove(folder, { recursive: true });
      }
      assert(inMidst > 0, "No process was killed in the middle of a file");
    });
  }
}

const KILLS = 6;

for (const engine of engines) {
  const name = "where every file needs a name a SIGKILL leaves a hidden one at most";
  serverTest(`${name}, ${KILLS} times [${engine}]`, async (server) => {
    let hidden = 0;
    for (let seed = firstSeed; seed < firstSeed + KILLS; seed++) {
      for (const name of await namesIn(server.backing)) await Deno.remove(`${server.path}/${name}`);
      const account = await writeAndKill({ kind: "atomic", folder: server.path, seed, engine });
      await assertKept({ ...account, folder: server.backing });
      hidden += (await namesIn(server.backing)).filter((name) => name.startsWith(".")).length;
    }
    assert(hidden > 0, "No process was killed before a file had its name");
  });
}
