// Processes that a signal ends in the middle of writing, at once, and what was promised is kept. Those that end by
// themselves are in writer/program_end_test.ts.

import { assert, assertEquals } from "@std/assert";
import { content, firstWrongInFile } from "./content.ts";
import { assertKept, promises } from "./killed.ts";
import { engines, inWorkDirectory } from "./machine.ts";
import { spawn } from "./programs.ts";
import { lines } from "./tools.ts";

/** Runs programs/end.ts, and sends it a signal when it is ready for one. */
async function end(how: "die" | "abort", folder: string, engine: string, deadly: Deno.Signal) {
  await Deno.writeFile(`${folder}/source`, content(0, 3_000_000));
  const child = spawn("end", { args: [how, folder], env: { DMA_ENGINE: engine } });
  child.stdin.close();
  const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const stderr = new Response(child.stderr).text();
  let stdout = "";
  for await (const line of lines(child.stdout)) {
    stdout += `${line}\n`;
    if (line === "ready") child.kill(deadly);
  }
  const { code, signal } = await child.status;
  clearTimeout(late);
  return { code, signal, stdout, stderr: await stderr };
}

/** What a sync() promised is there, and nothing foreign. */
async function assertPromises(stdout: string, folder: string): Promise<void> {
  const told = stdout.split("\n").filter((line) => /^(open|synced) /.test(line));
  const promised = promises(`${told.join("\n")}\n`);
  assert(promised.get(1)!.synced > 0, "Nothing was promised");
  // One file with content of seed 0, as a log is.
  await assertKept({ kind: "log", folder, seed: 0, promised, loss: "killed" });
}

for (const engine of engines) {
  const test = (name: string, fn: (folder: string) => Promise<void>) =>
    Deno.test(`${name} [${engine}]`, () => inWorkDirectory(fn));

  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    test(`${name} in mid-write ends the process at once`, async (folder) => {
      const { signal, stdout } = await end("die", folder, engine, name);
      assertEquals(signal, name);
      await assertPromises(stdout, folder);
    });
  }

  test("Ctrl-C with a listener that aborts leaves a file cut to what is right", async (folder) => {
    const { code, stdout, stderr } = await end("abort", folder, engine, "SIGINT");
    assertEquals({ code, stderr }, { code: 130, stderr: "" });
    const flushed = Number(/^aborted (\d+)$/m.exec(stdout)?.[1]);
    assert(flushed > 0);
    assertEquals((await Deno.stat(`${folder}/file`)).size, flushed);
    assertEquals(await firstWrongInFile(`${folder}/file`, flushed), -1);
  });
}
