// Starts the servers of a file system, tries the promises on it, and says what came of it.

import { pause, run } from "../setup/command.ts";
import { isMounted, listMounts } from "../setup/mounts.ts";
import type { Distributed, Site } from "./distributed_servers.ts";
import { Programs } from "./programs.ts";
import type { Outcome } from "./keep_promises.ts";
import type { Loop } from "./time_loop.ts";

const here = new URL(".", import.meta.url).pathname;

/** How the promises are tried. */
export interface Manner {
  /** Options of keep_promises.ts. */
  readonly flags: readonly string[];
  /** Arguments that resolve imports. */
  readonly imports: readonly string[];
}

/** One row of the table. */
export interface Row {
  readonly name: string;
  readonly version: string;
  readonly outcome: Outcome | string;
  /** Parts of the names of promises that may be broken. */
  readonly breaks?: readonly string[];
  /** What became of the event loop while each request took {@linkcode DELAY_MS}, or while the server stood still. */
  readonly loop?: Loop | string;
}

const engines = ["io_uring", "threads"];

/** Milliseconds that a slow server takes for a request: more than the event loop is ever busy by itself. */
export const DELAY_MS = 2000;

/** Runs a program of this folder. Resolves to what it prints as JSON, or to why it does not. */
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

/** Tries the promises on a directory. `more` are options of keep_promises.ts. */
export async function tryDirectory(
  path: string,
  name: string,
  manner: Manner,
  more: readonly string[] = [],
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const engine of engines) {
    const args = [path, ...manner.flags, ...more];
    const outcome = await ask<Outcome>("keep_promises.ts", engine, manner, args);
    rows.push({ name, version: "", outcome });
  }
  return rows;
}

/** Starts one, and tries it. */
export async function tryServer(
  server: Distributed,
  directory: string,
  bin: string,
  manner: Manner,
): Promise<Row[]> {
  const { name, breaks = [] } = server;
  await using running = new Running(server, directory, bin);
  const { site } = running;
  try {
    await running.start();
  } catch (error) {
    return [{ name, version: "", outcome: `It does not start: ${error}` }];
  }
  const version = await running.version();
  const more = ["small", "second"].filter((each) => isMounted(`${site.mount}-${each}`))
    .map((each) => `--${each}=${site.mount}-${each}`);
  const rows = await tryDirectory(site.mount, name, manner, more);
  const slow = await server.slow?.(site, DELAY_MS);
  const args = slow === undefined ? [site.mount, ...running.processes] : [slow];
  const loops: (Loop | string)[] = [];
  for (const engine of engines) loops.push(await ask("time_loop.ts", engine, manner, args));
  await server.slow?.(site, 0);
  return rows.map((row, index) => ({ ...row, version, breaks, loop: loops[index]! }));
}

/** The programs of a file system that run, and where. */
class Running implements AsyncDisposable {
  readonly #programs = new Programs();
  readonly #server: Distributed;
  readonly site: Site;

  constructor(server: Distributed, directory: string, bin: string) {
    this.#server = server;
    this.site = {
      work: `${directory}/work`,
      mount: `${directory}/mount`,
      bin,
      start: (program, ...args) => this.#programs.start(program, ...args),
      port: (port, address) => this.#programs.port(port, address),
    };
  }

  async start(): Promise<void> {
    const { work, mount } = this.site;
    await Deno.mkdir(work, { recursive: true });
    await Deno.mkdir(mount);
    await this.#server.up(this.site);
    for (let tried = 0; tried < 150; tried++) {
      if (isMounted(mount)) return;
      await pause(200);
    }
    throw new Error("It does not mount");
  }

  /** The identifiers of its processes. */
  get processes(): string[] {
    return this.#programs.processes;
  }

  async version(): Promise<string> {
    const [program, ...args] = this.#server.version(this.site);
    const { output } = await run(program, args);
    return /\d+(\.\d+)+/.exec(output)?.[0] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { mount } = this.site;
    for (const { path } of listMounts()) {
      if (path.startsWith(mount)) await run("umount", [path]);
    }
    await this.#server.down?.(this.site);
    await this.#programs[Symbol.asyncDispose]();
  }
}

/** Prints the table. Returns whether everything holds. */
export function printTable(rows: readonly Row[]): boolean {
  console.log("| File system | Version | Engine | What holds | MiB/s |\n| - | - | - | - | - |");
  for (const row of rows) print(row);
  return rows.every(({ outcome, breaks = [], loop }) =>
    typeof outcome !== "string" &&
    Object.keys(outcome.broken).every((what) => breaks.some((part) => what.includes(part))) &&
    (loop === undefined || typeof loop !== "string" && loop.longest < DELAY_MS)
  );
}

function print({ name, version, outcome, loop }: Row): void {
  if (typeof outcome === "string") {
    return console.log(`| ${name} | ${version} | - | ${outcome} | |`);
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
}
