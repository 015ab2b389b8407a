// Starts the servers of file systems, tests the promises on them, and prints a table of the results.

import { fileURLToPath } from "node:url";
import { pause, run } from "../setup/command.ts";
import { makeWorkDirectory, takeDown } from "../setup/file_systems.ts";
import { importMapArguments } from "../setup/import_map.ts";
import { isMounted, listMounts } from "../setup/mounts.ts";
import type { Distributed } from "./distributed_servers.ts";
import type { Outcome } from "./keep_promises.ts";
import { Programs } from "./programs.ts";
import type { Loop } from "./time_loop.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

const ENGINES = ["io_uring", "threads"];

/** The time of a slow server for a request, in milliseconds: longer than the event loop is ever busy by itself. */
export const DELAY_MS = 2000;

/** The options of the tests. */
interface Manner {
  /** Options of keep_promises.ts. */
  readonly flags: readonly string[];
  /** Arguments that resolve imports. */
  readonly imports: readonly string[];
}

interface Row {
  readonly name: string;
  readonly version?: string;
  readonly outcome: Outcome | string;
  /** Parts of the names of promises that may be broken. */
  readonly breaks?: readonly string[];
  /** The figures of the event loop with requests of {@linkcode DELAY_MS}, or with a stopped server. */
  readonly loop?: Loop | string;
}

/**
 * Tests the servers that the program's arguments name in part, or all servers, and directories. The exit code tells
 * whether everything holds.
 *
 * @param install makes ready what the servers take, below a directory, and resolves to where programs of Python packages are
 */
export async function tryNamed(
  all: readonly Distributed[],
  install: (chosen: readonly Distributed[], directory: string) => Promise<string>,
): Promise<never> {
  const flags = Deno.args.filter((arg) => arg.startsWith("--"));
  const names = Deno.args.filter((arg) => !arg.startsWith("--"));
  const chosen = all.filter(({ name }) =>
    names.length === 0 || names.some((word) => name.toLowerCase().includes(word.toLowerCase()))
  );
  const directory = await makeWorkDirectory();
  let good = true;
  const show = (rows: Row[]) => {
    for (const row of rows) good = print(row) && good;
  };
  try {
    const manner = { flags, imports: await importMapArguments(root, directory) };
    const bin = await install(chosen, directory);
    console.log("| File system | Version | Engine | What holds | MiB/s |\n| - | - | - | - | - |");
    for (const path of names.filter((name) => name.startsWith("/"))) {
      show(await tryDirectory(path, path, manner));
    }
    for (const [index, server] of chosen.entries()) {
      show(await tryServer(server, `${directory}/${index}`, bin, manner));
    }
  } finally {
    await takeDown(directory);
  }
  Deno.exit(good ? 0 : 1);
}

/** Runs a program of this folder. Resolves to its JSON output, or to the reason of its failure. */
async function ask<T>(
  program: string,
  engine: string,
  { imports }: Manner,
  args: readonly string[],
): Promise<T | string> {
  const { success, output } = await run(
    Deno.execPath(),
    ["run", "-A", "--no-check", ...imports, `${here}${program}`, ...args],
    { env: { DMA_ENGINE: engine, NO_COLOR: "1" }, signal: AbortSignal.timeout(900_000) },
  );
  const line = output.split("\n").find((line) => line.startsWith("{"));
  return success && line ? JSON.parse(line) : `It ended: ${output.trim().split("\n")[0]}`;
}

/** Tests the promises on a directory. `more` are options of keep_promises.ts. */
async function tryDirectory(
  path: string,
  name: string,
  manner: Manner,
  more: readonly string[] = [],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const engine of ENGINES) {
    const args = [path, ...manner.flags, ...more];
    rows.push({ name, outcome: await ask("keep_promises.ts", engine, manner, args) });
  }
  return rows;
}

async function tryServer(
  server: Distributed,
  directory: string,
  bin: string,
  manner: Manner,
): Promise<Row[]> {
  const { name, breaks = [] } = server;
  const [work, mount] = [`${directory}/work`, `${directory}/mount`];
  await Deno.mkdir(work, { recursive: true });
  await Deno.mkdir(mount);
  await using programs = new Programs();
  const site = { work, mount, bin, start: programs.start, port: programs.port };
  try {
    await server.up(site);
    for (let tried = 0; !isMounted(mount); tried++) {
      if (tried === 150) throw new Error("It does not mount");
      await pause(200);
    }
    const [program, ...words] = server.version(site);
    const version = /\d+(\.\d+)+/.exec((await run(program, words)).output)?.[0] ?? "";
    const more = ["small", "second"].filter((each) => isMounted(`${mount}-${each}`))
      .map((each) => `--${each}=${mount}-${each}`);
    const rows = await tryDirectory(mount, name, manner, more);
    const slow = await server.slow?.(site, DELAY_MS);
    const args = slow === undefined ? [mount, ...programs.processes] : [slow];
    const loops: (Loop | string)[] = [];
    for (const engine of ENGINES) loops.push(await ask("time_loop.ts", engine, manner, args));
    await server.slow?.(site, 0);
    return rows.map((row, index) => ({ ...row, version, breaks, loop: loops[index]! }));
  } catch (error) {
    return [{ name, outcome: `It does not start: ${error}` }];
  } finally {
    for (const { mountPoint } of listMounts()) {
      if (mountPoint.startsWith(mount)) await run("umount", [mountPoint]);
    }
    await server.down?.(site);
  }
}

/** Prints a row. Returns whether everything holds, except promises that are known to be broken. */
function print({ name, version = "", outcome, breaks = [], loop }: Row): boolean {
  if (typeof outcome === "string") {
    console.log(`| ${name} | ${version} | - | ${outcome} | |`);
    return false;
  }
  const { engine, direct, kept, broken, rates = {} } = outcome;
  const holds = [`${kept} promises kept (${direct ? "direct" : "page cache"})`];
  for (const [what, why] of Object.entries(broken)) holds.push(`not "${what}": ${why}`);
  if (typeof loop === "string") holds.push(`with a server that does not answer: ${loop}`);
  else if (loop) {
    const { longest, taken, timers } = loop;
    holds.push(`timers waited ${longest} ms at most of ${taken}, ${timers} % ran`);
  }
  const speeds = Object.entries(rates).map(([way, rate]) => `${way} ${rate}`);
  console.log(
    `| ${name} | ${version} | ${engine} | ${holds.join("; ")} | ${speeds.join(", ")} |`,
  );
  return Object.keys(broken).every((what) => breaks.some((part) => what.includes(part))) &&
    (loop === undefined || typeof loop !== "string" && loop.longest < DELAY_MS);
}
