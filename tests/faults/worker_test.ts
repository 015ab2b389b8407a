// Workers that are terminated during reads: memory that the kernel still uses is not reused. The stress test shows that
// they leave nothing behind and disturb no other code.

import "../support/engine.ts";
import { assertEquals } from "@std/assert";
import { pause } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { type FaultyDisk, onFaultyDisk, smallest } from "./disks.ts";
import { MiB } from "./failed_writer.ts";
import { faultTest } from "./machine.ts";
import { spawn } from "./programs.ts";
import { lines } from "./tools.ts";

/** Terminates a Worker during its reads, and checks whether its memory was reused before they ended. */
async function terminateReading(
  { disk, mount }: FaultyDisk,
  directory: string,
  kind: "web" | "node",
): Promise<void> {
  await Deno.writeFile(`${mount.path}/source`, new Uint8Array(4 * MiB).fill(0xaa));
  await mount.remount();
  await disk.command("delay read 1000");
  const reads = async () => (await disk.counts()).read!;
  // The first reads look the file up. Later ones wait for the disk.
  const enough = await reads() + 6;
  const child = spawn("terminate_reading", {
    args: [mount.path, directory, kind],
    // Every thread reuses memory that another one freed, and none is returned to the kernel.
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
  // All waiting reads get their bytes now.
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

faultTest("memory that a Worker had for a read is not used again while the disk has it", {
  needs: ["root", "gcc", "loop", "fuse", "ext4"],
}, async () => {
  // Side by side: mostly they wait.
  const both = (["web", "node"] as const).map((kind) =>
    onFaultyDisk("ext4", smallest("ext4"), (disk, own) => terminateReading(disk, own, kind))
  );
  for (const result of await Promise.allSettled(both)) {
    if (result.status === "rejected") throw result.reason;
  }
});
