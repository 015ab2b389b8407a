// The machine of a comparison: hardware, kernel, file system and the versions of all contestants.

import { formatSize } from "../../cli/units.ts";
import { fileURLToPath } from "node:url";
import { tryCommand } from "./measured_process.ts";
import type { Tools } from "./tools.ts";

/** Facts by name, in the order in which they are shown. */
export type MachineFacts = Readonly<Record<string, string>>;

async function cpuModel(): Promise<string> {
  const text = await Deno.readTextFile("/proc/cpuinfo");
  return /^model name\s*:\s*(.+)$/m.exec(text)?.[1] ?? Deno.build.arch;
}

/** The line of /proc/self/mountinfo for the mount of a directory. */
async function mountOf(directory: string): Promise<{ device: string; facts: string } | undefined> {
  const shown = await tryCommand(
    ["findmnt", "--noheadings", "--raw", "--output", "MAJ:MIN,FSTYPE,OPTIONS", "-T", directory],
  );
  // A later mount hides an earlier one on the same directory.
  const [device, type, options] = shown?.split("\n").at(-1)?.split(" ") ?? [];
  return device === undefined ? undefined : { device, facts: `${type} (${options})` };
}

/** The kernel's facts about the disk under a file system. */
async function disk(device: string): Promise<string> {
  const read = async (name: string) => {
    const path = `/sys/dev/block/${device}/${name}`;
    return (await Deno.readTextFile(path).catch(() => "")).trim();
  };
  const [cache, scheduler, model] = await Promise.all(
    ["queue/write_cache", "queue/scheduler", "device/model"].map(read),
  );
  const link = await Deno.readLink(`/sys/dev/block/${device}`).catch(() => device);
  const scheduled = /\[(.+)\]/.exec(scheduler!)?.[1];
  return [
    link.split("/").at(-1),
    model,
    cache && `${cache} cache`,
    scheduled && `scheduler ${scheduled}`,
  ].filter(Boolean).join(", ");
}

async function versions(tools: Tools): Promise<string> {
  const { node, bun, fio, dd } = tools;
  const [nodeSays, bunSays, fioSays, ddSays] = await Promise.all(
    [node, bun, fio, dd].map(async (program) =>
      program && (await tryCommand([program, "--version"]))?.split("\n")[0]
    ),
  );
  return [
    `Deno ${Deno.version.deno} (V8 ${Deno.version.v8})`,
    nodeSays && `Node.js ${nodeSays.replace("v", "")}`,
    bunSays && `Bun ${bunSays}`,
    fioSays?.replace("-", " "),
    ddSays,
    tools.glommio && "glommio 0.9.0",
  ].filter(Boolean).join(", ");
}

/** Gathers the facts. */
export async function machineFacts(directory: string, tools: Tools): Promise<MachineFacts> {
  const mount = await mountOf(directory);
  const memory = Deno.systemMemoryInfo().total;
  const here = fileURLToPath(new URL("..", import.meta.url));
  return {
    date: new Date().toISOString(),
    machine: `${await cpuModel()}, ${navigator.hardwareConcurrency} cores, ${formatSize(memory)}`,
    kernel: `Linux ${Deno.osRelease()}`,
    fileSystem: mount?.facts ?? "unknown",
    disk: mount ? await disk(mount.device) : "unknown",
    versions: await versions(tools),
    commit: await tryCommand(["git", "-C", here, "describe", "--always", "--dirty"]) ?? "unknown",
  };
}
