// Workers that are terminated in the middle of writing and reading: they leave nothing behind, and no memory that the kernel
// still has from them is used again. That they disturb nobody the stress shows.

import "../support/engine.ts";
import { assertEquals } from "@std/assert";
import { pause } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { takeStock } from "../support/leaks.ts";
import { content } from "./content.ts";
import { FaultyDisk } from "./disks.ts";
import { MiB, within } from "./failed_writer.ts";
import { folderTest, whileUp } from "./machine.ts";
import { spawn } from "./programs.ts";
import { lines } from "./tools.ts";

const script = new URL("programs/busy_worker.ts", import.meta.url);

/** Ends a Worker in the middle of its reads, and looks whether its memory was used again before they were over. */
async function terminateReading(
  { disk, mount }: FaultyDisk,
  directory: string,
  kind: "web" | "node",
): Promise<void> {
  await Deno.writeFile(`${mount.path}/source`, new Uint8Array(4 * MiB).fill(0xaa));
  await mount.remount();
  await disk.command("delay read 1000");
  const reads = async () => (await disk.counts()).reads!;
  // The first reads look the file up. Those after them are with the disk, and take their time there.
  const enough = await reads() + 6;
  const child = spawn("terminate_reading", {
    args: ["read at", mount.path, directory, kind],
    // Every thread gets the memory that another one gave back, and none goes back to the kernel.
    env: {
      MALLOC_ARENA_MAX: "1",
      MALLOC_MMAP_THRESHOLD_: "1000000000",
      MALLOC_TRIM_THRESHOLD_: "1000000000",
    },
  });
  const input = child.stdin.getWriter();
  const output = lines(child.stdout);
  const say = (line: string) => input.write(new TextEncoder().encode(`${line}\n`));
  await eventually(async () => await reads() >= enough, "reads are in flight");
  await say("terminate");
  assertEquals((await output.next()).value, "allocated");
  // Everything that waits for the disk gets its bytes now.
  await disk.command("clear");
  await pause(1300);
  await say("check");
  const { value } = await output.next();
  await output.return?.();
  await input.close();
  const errors = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 0, errors);
  assertEquals(value, "written 0");
}

folderTest(
  "memory that a terminated Worker had for a read is not used again before the disk is done with it",
  { needs: ["root", "gcc", "loop", "fuse", "ext4"] },
  async (directory) => {
    // Side by side: mostly they wait.
    const results = await Promise.allSettled((["web", "node"] as const).map(async (kind) => {
      const own = `${directory}/${kind}`;
      await Deno.mkdir(own);
      const disk = await FaultyDisk.open(own, "ext4");
      await whileUp(disk, () => terminateReading(disk, own, kind));
    }));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  },
);

/** Starts a Worker, and ends it when it has said so many times that it is in the middle of things. */
async function startAndEnd(folder: string, what: string, beats: number): Promise<void> {
  const worker = new Worker(script, { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.onmessage = () => {
    if (--beats === 0) resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  worker.postMessage({ folder, what });
  await within(20, "The Worker", promise);
  worker.terminate();
}

/** What this process has of files in `folder`, rings and buffers. */
function holdings(folder: string): string {
  const targets = [...takeStock().targets].filter(([target]) =>
    target.startsWith(folder) || /io_uring|eventfd/.test(target)
  );
  // Those of rings, and of buffers: those alone may have huge pages and are not inherited by child processes.
  const mappings = Deno.readTextFileSync("/proc/self/smaps")
    .match(/^VmFlags:.* (dc .*hg|hg .*dc)|anon_inode:\[io_uring\]$/gm)?.length ?? 0;
  return `${mappings} mappings, ${targets.map((entry) => entry.join(" × "))}`;
}

for (const what of ["nothing more", "write", "read", "read at", "open and close"]) {
  const when = what === "nothing more" ? "with its files closed" : `in the middle of "${what}"`;
  folderTest(`a Worker leaves nothing behind when it ends, ${when}`, {}, async (folder) => {
    await Deno.writeFile(`${folder}/source`, content(0, 8 * MiB));
    await startAndEnd(folder, what, 1);
    // What the first Worker had is given back a moment after its end.
    let before = "";
    for (let same = 0, looks = 0; same < 5 && looks < 100; looks++, before = holdings(folder)) {
      same = holdings(folder) === before && !before.includes(folder) ? same + 1 : 0;
      await pause(100);
    }
    for (let round = 1; round <= 6; round++) {
      await startAndEnd(folder, what, what === "nothing more" ? 1 : round);
    }
    await eventually(() => holdings(folder) === before).catch(() => {});
    assertEquals(holdings(folder), before);
  });
}
