// Tests the promises on distributed file systems, all of whose servers run here, and prints a table. It needs root, apt
// and Python, and installs the missing packages.
//
//   deno task test:mounts                     all of them, on both engines
//   deno task test:mounts GlusterFS --rates   these, with MiB/s
//   deno task test:mounts /mnt/mine           a directory of your own, on whatever file system

import { runOrThrow, say } from "../setup/command.ts";
import { installDebianPackages } from "../setup/packages.ts";
import { type Distributed, distributed } from "./distributed_servers.ts";
import { tryNamed } from "./try_servers.ts";

/** Installs the packages of the chosen file systems. Resolves to the folder of the Python programs. */
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

if (import.meta.main) await tryNamed(distributed, install);
