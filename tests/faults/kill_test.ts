// Signals at random moments: the promised bytes are there afterwards, and no bytes that were never written.
// DMA_KILL_ROUNDS sets the number of rounds; DMA_KILL_SEED repeats a run.

import { assert, assertRejects } from "@std/assert";
import { testOnce } from "../support/once.ts";
import { assertKept, LONGEST_LIFE, resumeAt, spoil, writeAndKill } from "./killed.ts";
import { engines, inWorkDirectory } from "./machine.ts";
import { isLog, kinds, pathOf } from "./written.ts";

const rounds = Number(Deno.env.get("DMA_KILL_ROUNDS") ?? 60);
const firstSeed = Number(Deno.env.get("DMA_KILL_SEED") ?? Math.floor(Math.random() * 1e6));

function killTest(name: string, fn: (directory: string) => Promise<void>): void {
  testOnce(name, () => inWorkDirectory(fn));
}

for (const kind of [...kinds, "end"] as const) {
  for (const engine of engines) {
    const share = Math.max(1, Math.round(rounds / ((kinds.length + 1) * engines.length)));
    const name = `a SIGKILL takes nothing that was promised, ${share} times [${kind}, ${engine}]`;
    killTest(name, async (dir) => {
      let inMidst = 0;
      let position = 0;
      for (let round = 0; round < share; round++) {
        const seed = firstSeed + round;
        // A log is one file, which each process continues.
        const folder = `${dir}/${isLog(kind) ? "log" : round}`;
        await Deno.mkdir(folder, { recursive: true });
        // The first one is certainly killed in the middle of a file.
        const soon = round === 0 ? { life: 0 } : {};
        const account = await writeAndKill({ kind, folder, seed, position, engine, ...soon });
        if ([...account.promised.values()].at(-1)?.closed === false) inMidst++;
        await assertKept(account);
        if (isLog(kind)) position = await resumeAt(account, position);
        else await Deno.remove(folder, { recursive: true });
      }
      assert(inMidst > 0 || share < 3, "No process was killed in the middle of a file");
    });
  }

  killTest(`the check fails where one promised byte is another [${kind}]`, async (directory) => {
    for (let seed = firstSeed;; seed++) {
      const folder = `${directory}/${seed}`;
      await Deno.mkdir(folder);
      const engine = engines[0]!;
      const account = await writeAndKill({ kind, folder, seed, engine, life: LONGEST_LIFE });
      const first = account.promised.get(1);
      if (!first?.closed || first.length < 8) continue;
      await assertKept(account);
      spoil(pathOf(kind, folder, 1), 4);
      await assertRejects(() => assertKept(account));
      break;
    }
  });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  for (const engine of engines) {
    killTest(`${signal} in mid-write ends the process at once [${engine}]`, async (folder) => {
      const seed = firstSeed;
      await assertKept(await writeAndKill({ kind: "new", folder, seed, engine, life: 50, signal }));
    });
  }
}
