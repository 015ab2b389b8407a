// Starts the servers of file systems, tests the promises on them, and prints a table of the results.

import { root, run } from "../setup/command.ts";
import { runMain } from "../setup/file_systems.ts";
import { standInArguments } from "../setup/import_map.ts";
import { isMounted } from "../setup/mounts.ts";
import type { Outcome, Request } from "./server_promises.ts";
import { DELAY_MS, Mounted, type Server } from "./servers.ts";

const program = `${root}/tests/mounts/server_promises.ts`;
const command = ["run", "-A", "--no-check", ...standInArguments(), program];

/** Checks promises on each engine in a process of its own, and prints the outcomes. Returns whether everything holds. */
async function check(name: string, request: Request, breaks?: readonly string[]): Promise<boolean> {
  let good = true;
  for (const engine of ["io_uring", "threads"]) {
    const args = [...command, JSON.stringify(request)];
    const env = { DMA_ENGINE: engine };
    const signal = AbortSignal.timeout(1_800_000);
    const { success, output } = await run(Deno.execPath(), args, { env, signal });
    const line = output.split("\n").find((line) => line.startsWith("{"));
    if (!success || line === undefined) {
      console.log(`| ${name} | ${engine} | It ended: ${output.trim().split("\n")[0]} |`);
      good = false;
      continue;
    }
    const { engine: used, direct, kept, broken }: Outcome = JSON.parse(line);
    const holds = [`${kept} promises kept (${direct ? "direct" : "page cache"})`];
    for (const [what, why] of Object.entries(broken)) {
      holds.push(`not "${what}": ${why}`);
      good &&= breaks?.some((part) => what.includes(part)) ?? false;
    }
    console.log(`| ${name} | ${used} | ${holds.join("; ")} |`);
  }
  return good;
}

async function tryServer(server: Server, directory: string, bin: string): Promise<boolean> {
  const { name, breaks, version, slow } = server;
  try {
    await using mounted = await Mounted.start(server, directory, [], bin);
    const number = /\d+(\.\d+)+/.exec(await mounted.run(version ?? "uname -r"))?.[0] ?? "";
    const { path } = mounted;
    const other = (name: string) => isMounted(`${path}-${name}`) ? `${path}-${name}` : undefined;
    const processes = slow ? [] : mounted.script.processes;
    const request = { path, processes, second: other("second"), small: other("small") };
    let good = await check(`${name} ${number}`, request, breaks);
    if (slow) {
      const slowed = { path: await mounted.run(slow, `${DELAY_MS}`), isSlow: true };
      good = await check(`${name}, ${DELAY_MS} ms a request`, slowed) && good;
      await mounted.run(slow, "0");
    }
    return good;
  } catch (error) {
    console.log(`| ${name} | - | ${error} |`);
    return false;
  }
}

/**
 * Tests the servers that the program's arguments name in part, or all servers, and directories. `install` installs what they
 * need below a directory, and resolves to the folder of Python's programs. The exit code tells whether everything holds.
 */
export async function tryNamed(
  all: readonly Server[],
  install: (chosen: readonly Server[], directory: string, signal: AbortSignal) => Promise<string>,
): Promise<never> {
  const names = Deno.args;
  const chosen = all.filter(({ name }) =>
    names.length === 0 || names.some((word) => name.toLowerCase().includes(word.toLowerCase()))
  );
  const exitCode = await runMain(async (directory, signal) => {
    let good = true;
    const bin = await install(chosen, directory, signal);
    console.log("| File system | Engine | What holds |\n| - | - | - |");
    for (const path of names.filter((name) => name.startsWith("/"))) {
      good = await check(path, { path }) && good;
    }
    for (const [index, server] of chosen.entries()) {
      signal.throwIfAborted();
      good = await tryServer(server, `${directory}/${index}`, bin) && good;
    }
    return good;
  });
  Deno.exit(exitCode);
}
