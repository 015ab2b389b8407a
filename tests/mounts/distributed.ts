// Tries the promises on distributed file systems, all of whose servers run here, and prints a table. As root; with apt and
// Python, from whose registries it installs what is missing.
//
//   deno task test:mounts                     all of them, on both engines
//   deno task test:mounts GlusterFS --rates   these, with MiB/s
//   deno task test:mounts /mnt/mine           a directory of your own, on whatever file system

import { run, runOrThrow, say, searchPath } from "../setup/command.ts";
import { importMapArguments } from "../setup/import_map.ts";
import { makeWorkDirectory, takeDown } from "../setup/file_systems.ts";
import { listMounts } from "../setup/mounts.ts";
import { installDebianPackages } from "../setup/packages.ts";
import { type Distributed, distributed, type Site } from "./distributed_servers.ts";
import type { Outcome } from "./keep_promises.ts";

const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** One row of the table. */
interface Row {
  readonly name: string;
  readonly version: string;
  readonly outcome: Outcome | string;
}

async function keepPromises(
  directory: string,
  engine: string,
  flags: readonly string[],
  imports: readonly string[],
): Promise<Outcome | string> {
  const program = `${root}/tests/mounts/keep_promises.ts`;
  const { success, output } = await run(
    Deno.execPath(),
    ["run", "-A", "--no-check", ...imports, program, directory, ...flags],
    { env: { DMA_ENGINE: engine, NO_COLOR: "1" }, signal: AbortSignal.timeout(600_000) },
  );
  const line = output.split("\n").find((line) => line.startsWith("{"));
  return success && line ? JSON.parse(line) : `It ended: ${output.trim().split("\n")[0]}`;
}

/** The programs of a file system that run, and where. */
class Running implements AsyncDisposable {
  readonly #children: Deno.ChildProcess[] = [];
  readonly #server: Distributed;
  readonly site: Site;

  constructor(server: Distributed, directory: string, bin: string) {
    this.#server = server;
    this.site = {
      work: `${directory}/work`,
      mount: `${directory}/mount`,
      bin,
      start: (program, ...args) => {
        const options = { stdin: "null", stdout: "null", stderr: "null" } as const;
        const env = { PATH: searchPath };
        this.#children.push(new Deno.Command(program, { args, env, ...options }).spawn());
      },
      port: async (port) => {
        for (let tried = 0; tried < 150; tried++) {
          try {
            return (await Deno.connect({ hostname: "127.0.0.1", port })).close();
          } catch {
            await pause(200);
          }
        }
        throw new Error(`Nobody answers at port ${port}`);
      },
    };
  }

  async start(): Promise<void> {
    const { work, mount } = this.site;
    await Deno.mkdir(work, { recursive: true });
    await Deno.mkdir(mount);
    await this.#server.up(this.site);
    for (let tried = 0; tried < 150; tried++) {
      if (listMounts().some(({ path }) => path === mount)) return;
      await pause(200);
    }
    throw new Error("It does not mount");
  }

  async version(): Promise<string> {
    const [program, ...args] = this.#server.version(this.site);
    const { output } = await run(program, args);
    return /\d+(\.\d+)+/.exec(output)?.[0] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", [this.site.mount]);
    await this.#server.down?.();
    for (const child of this.#children.reverse()) {
      try {
        child.kill("SIGTERM");
      } catch {
        continue; // It has ended.
      }
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      await child.status;
      clearTimeout(timer);
    }
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Installs what the chosen ones take. Resolves to where the programs of Python packages are. */
async function install(chosen: readonly Distributed[], directory: string): Promise<string> {
  const signal = new AbortController().signal;
  await installDebianPackages(chosen.flatMap(({ debian }) => debian), signal);
  const python = chosen.flatMap(({ python }) => python);
  const bin = `${directory}/venv/bin`;
  if (python.length === 0) return bin;
  say(`pip install ${python.join(" ")}`);
  await runOrThrow("python3", ["-m", "venv", `${directory}/venv`]);
  await runOrThrow(`${bin}/pip`, ["-q", "install", ...python]);
  return bin;
}

async function tryServer(
  server: Distributed,
  directory: string,
  bin: string,
  attempt: (path: string, engine: string) => Promise<Outcome | string>,
): Promise<Row[]> {
  const { name } = server;
  await using running = new Running(server, directory, bin);
  try {
    await running.start();
  } catch (error) {
    return [{ name, version: "", outcome: `It does not start: ${error}` }];
  }
  const version = await running.version();
  const rows: Row[] = [];
  for (const engine of ["io_uring", "threads"]) {
    rows.push({ name, version, outcome: await attempt(running.site.mount, engine) });
  }
  return rows;
}

function print({ name, version, outcome }: Row): void {
  if (typeof outcome === "string") {
    return console.log(`| ${name} | ${version} | - | ${outcome} | |`);
  }
  const { engine, kept, broken, rates = {} } = outcome;
  const failed = Object.entries(broken).map(([what, why]) => `not "${what}": ${why}`);
  const speeds = Object.entries(rates).map(([way, rate]) => `${way} ${rate}`);
  const holds = [`${kept} promises kept`, ...failed].join("; ");
  console.log(`| ${name} | ${version} | ${engine} | ${holds} | ${speeds.join(", ")} |`);
}

if (import.meta.main) {
  const flags = Deno.args.filter((arg) => arg.startsWith("--"));
  const names = Deno.args.filter((arg) => !arg.startsWith("--"));
  const paths = names.filter((name) => name.startsWith("/"));
  const wanted = names.filter((name) => !name.startsWith("/"));
  const chosen = paths.length > 0 && wanted.length === 0
    ? []
    : distributed.filter(({ name }) =>
      wanted.length === 0 || wanted.some((word) => name.toLowerCase().includes(word.toLowerCase()))
    );
  const directory = await makeWorkDirectory();
  const rows: Row[] = [];
  try {
    const imports = await importMapArguments(root, directory, new AbortController().signal);
    const bin = await install(chosen, directory);
    const attempt = (path: string, engine: string) => keepPromises(path, engine, flags, imports);
    for (const path of paths) {
      for (const engine of ["io_uring", "threads"]) {
        rows.push({ name: path, version: "", outcome: await attempt(path, engine) });
      }
    }
    for (const [index, server] of chosen.entries()) {
      say(server.name);
      rows.push(...await tryServer(server, `${directory}/${index}`, bin, attempt));
    }
  } finally {
    await takeDown(directory);
  }
  console.log("| File system | Version | Engine | What holds | MiB/s |\n| - | - | - | - | - |");
  for (const row of rows) print(row);
  const whole = rows.every(({ outcome }) =>
    typeof outcome !== "string" && Object.keys(outcome.broken).length === 0
  );
  Deno.exit(whole ? 0 : 1);
}
