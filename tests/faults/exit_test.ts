// Processes that end in the middle of writing: by Deno.exit, an error that nobody catches, a signal, or because
// nothing is left to do. They end at once and as they would without this module, and what was promised is kept.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { content, firstWrongInFile } from "./content.ts";
import { assertKept, promises } from "./killed.ts";
import { engines, inWorkDirectory } from "./machine.ts";
import { spawn } from "./programs.ts";

interface Ended {
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
}

/** Runs programs/end.ts, and sends it a signal when it is ready for one. */
async function end(
  how: string,
  folder: string,
  engine: string,
  signal?: Deno.Signal,
): Promise<Ended> {
  await Deno.writeFile(`${folder}/source`, content(0, 3_000_000));
  const child = spawn("end", { args: [how, folder], env: { DMA_ENGINE: engine } });
  child.stdin.close();
  const late = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const stderr = new Response(child.stderr).text();
  const decoder = new TextDecoder();
  let stdout = "";
  for await (const bytes of child.stdout) {
    stdout += decoder.decode(bytes, { stream: true });
    if (signal && stdout.includes("ready\n")) {
      child.kill(signal);
      signal = undefined;
    }
  }
  const status = await child.status;
  clearTimeout(late);
  return { code: status.code, signal: status.signal, stdout, stderr: await stderr };
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

  test("Deno.exit in mid-write ends the process with its code", async (folder) => {
    const { code, signal, stdout, stderr } = await end("Deno.exit", folder, engine);
    assertEquals({ code, signal, stderr }, { code: 7, signal: null, stderr: "" });
    await assertPromises(stdout, folder);
  });

  for (const how of ["an uncaught error", "an unhandled rejection"]) {
    test(`${how} in mid-write ends the process as it always does`, async (folder) => {
      const { code, signal, stdout, stderr } = await end(how, folder, engine);
      assertEquals({ code, signal }, { code: 1, signal: null });
      assertMatch(stderr, /Nobody catches this/);
      await assertPromises(stdout, folder);
    });
  }

  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    test(`${name} in mid-write ends the process at once`, async (folder) => {
      const { signal, stdout } = await end("a signal", folder, engine, name);
      assertEquals(signal, name);
      await assertPromises(stdout, folder);
    });
  }

  test("Ctrl-C with a listener that aborts leaves a file cut to what is right", async (folder) => {
    const { code, stdout, stderr } = await end(
      "a listener for the signal",
      folder,
      engine,
      "SIGINT",
    );
    assertEquals({ code, stderr }, { code: 130, stderr: "" });
    const flushed = Number(/^aborted (\d+)$/m.exec(stdout)?.[1]);
    assert(flushed > 0);
    assertEquals((await Deno.stat(`${folder}/file`)).size, flushed);
    assertEquals(await firstWrongInFile(`${folder}/file`, flushed), -1);
  });

  test("with nothing in flight a process ends, whatever is open", async (folder) => {
    const { code, signal, stderr } = await end("nothing in flight", folder, engine);
    assertEquals({ code, signal, stderr }, { code: 0, signal: null, stderr: "" });
  });
}
