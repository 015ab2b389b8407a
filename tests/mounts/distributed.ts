// Tries the promises on distributed file systems, all of whose servers run here, and prints a table. As root; with apt and
// Python, from whose registries it installs what is missing.
//
//   deno task test:mounts                     all of them, on both engines
//   deno task test:mounts GlusterFS --rates   these, with MiB/s
//   deno task test:mounts /mnt/mine           a directory of your own, on whatever file system

import { runOrThrow, say } from "../setup/command.ts";
import { importMapArguments } from "../setup/import_map.ts";
import { makeWorkDirectory, takeDown } from "../setup/file_systems.ts";
import { installDebianPackages } from "../setup/packages.ts";
import { type Distributed, distributed } from "./distributed_servers.ts";
import { printTable, type Row, tryDirectory, tryServer } from "./try_servers.ts";

const root = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** Installs what the chosen ones take. Resolves to where the programs of Python packages are. */
async function install(chosen: readonly Distributed[], directory: string): Promise<string> {
  const signal = new AbortController().signal;
  await installDebianPackages(chosen.flatMap(({ debian = [] }) => debian), signal);
  const python = chosen.flatMap(({ python = [] }) => python);
  const bin = `${directory}/venv/bin`;
  if (python.length === 0) return bin;
  say(`pip install ${python.join(" ")}`);
  await runOrThrow("python3", ["-m", "venv", `${directory}/venv`]);
  await runOrThrow(`${bin}/pip`, ["-q", "install", ...python]);
  return bin;
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
    const manner = { flags, imports };
    for (const path of paths) rows.push(...await tryDirectory(path, path, manner));
    for (const [index, server] of chosen.entries()) {
      say(server.name);
      rows.push(...await tryServer(server, `${directory}/${index}`, bin, manner));
    }
  } finally {
    await takeDown(directory);
  }
  Deno.exit(printTable(rows) ? 0 : 1);
}
