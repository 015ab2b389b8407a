// Workers that are terminated in the middle of writing and reading: they leave nothing behind, and no memory that the kernel
// still has from them is used again. That they disturb nobody the stress shows.

import { assert, assertEquals } from "@std/assert";
import { takeStock } from "../support/leaks.ts";
import { eventually } from "../support/descriptors.ts";
import "../support/engine.ts";
import { content } from "./content.ts";
import { FaultyDisk } from "./disks.ts";
import { within } from "./failed_writer.ts";
import { folderTest, inWorkDirectory, whileUp } from "./machine.ts";
import { spawn } from "./programs.ts";
import { lines } from "./tools.ts";

const MiB = 1 << 20;
const script = new URL("programs/busy_worker.ts", import.meta.url);

/** Starts a Worker, and resolves when it is in the middle of things. */
async function busy(folder: string, what: string, beats: number): Promise<Worker> {
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
  return worker;
}

/** Ends a Worker in the middle of its reads, and looks whether its memory was used again before they were over. */
async function terminateReading(directory: string, kind: "web" | "node"): Promise<void> {
  const faulty = await FaultyDisk.open(directory, "ext4");
  await whileUp(faulty, async ({ disk, mount }) => {
    await Deno.writeFile(`${mount.path}/source`, new Uint8Array(4 * MiB).fill(0xaa));
    await mount.remount();
    await disk.command("delay read 1000");
    const before = (await disk.counts()).reads!;
    // Every thread gets the memory that another one gave back, and none goes back to the kernel.
    const env = {
      MALLOC_ARENA_MAX: "1",
      MALLOC_MMAP_THRESHOLD_: "1000000000",
      MALLOC_TRIM_THRESHOLD_: "1000000000",
    };
    const child = spawn("terminate_reading", {
      args: ["read at", mount.path, directory, kind],
      env,
    });
    const input = child.stdin.getWriter();
    const output = lines(child.stdout);
    const say = (line: string) => input.write(new TextEncoder().encode(`${line}\n`));
    // The first reads look the file up. Those after them are with the disk now, and take their time there.
    const enough = before + 6;
    for (let tried = 0; (await disk.counts()).reads! < enough && tried < 500; tried++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert((await disk.counts()).reads! >= enough, "Nothing was in flight");
    await say("terminate");
    assertEquals((await output.next()).value, "allocated");
    // Everything that waits for the disk gets its bytes now.
    await disk.command("clear");
    await new Promise((resolve) => setTimeout(resolve, 1300));
    await say("check");
    const { value } = await output.next();
    await output.return?.();
    await input.close();
    const errors = await new Response(child.stderr).text();
    assertEquals((await child.status).code, 0, errors);
    assertEquals(value, "written 0");
  }, () => faulty[Symbol.asyncDispose]());
}

folderTest(
  "memory that a terminated Worker had for a read is not used again before the disk is done with it",
  { needs: ["root", "gcc", "loop", "fuse", "ext4"] },
  async (directory) => {
    // Side by side: mostly they wait.
    const kinds = ["web", "node"] as const;
    const results = await Promise.allSettled(kinds.map(async (kind) => {
      await Deno.mkdir(`${directory}/${kind}`);
      await terminateReading(`${directory}/${kind}`, kind);
    }));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  },
);

/** Mappings of rings, and of buffers: those alone may have huge pages and are not inherited by child processes. */
function ownMappings(): number {
  const all = Deno.readTextFileSync("/proc/self/smaps");
  return all.match(/^VmFlags:.* (dc .*hg|hg .*dc)|anon_inode:\[io_uring\]$/gm)?.length ?? 0;
}

for (const what of ["nothing more", "write", "read", "read at", "open and close"]) {
  Deno.test({
    name: `a Worker leaves nothing behind when it ends, ${
      what === "nothing more" ? "with its files closed" : `in the middle of "${what}"`
    }`,
    fn: () =>
      inWorkDirectory(async (folder) => {
        await Deno.writeFile(`${folder}/source`, content(0, 8 * MiB));
        const run = async (beats: number) => {
          const worker = await busy(folder, what, what === "nothing more" ? 1 : beats);
          worker.terminate();
        };
        const holdings = () => {
          const { targets } = takeStock();
          const ours = [...targets].filter(([target]) =>
            target.startsWith(folder) || target.includes("io_uring") || target.includes("eventfd")
          );
          return `${ownMappings()} mappings, ${ours.map((entry) => entry.join(" × "))}`;
        };
        await run(1);
        // What the first Worker had is given back a moment after its end.
        let before = "";
        for (let same = 0, looks = 0; same < 5 && looks < 100; looks++, before = holdings()) {
          same = holdings() === before && !before.includes(folder) ? same + 1 : 0;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        for (let round = 0; round < 6; round++) await run(1 + round);
        await eventually(() => holdings() === before).catch(() => {});
        assertEquals(holdings(), before);
      }),
  });
}
