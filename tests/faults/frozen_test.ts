// File systems that hang for a while, or are slow. While one is frozen (fsfreeze, as for a snapshot) the kernel holds
// every write until the thaw. Deno's own file operations, which share its threads with the module, continue.

import "../support/engine.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { standStill } from "../mounts/server_promises.ts";
import { within } from "../setup/command.ts";
import { content } from "./content.ts";
import { diskTest } from "./disks.ts";
import { assertContent } from "./failed_writer.ts";
import { FaultFileSystem, serverTest } from "./fault_file_system.ts";
import { engines, folderTest, whileUp } from "./machine.ts";
import { resultOf, spawn } from "./programs.ts";
import { lines } from "./tools.ts";

diskTest("calls wait for a frozen file system, and the event loop does not", async (disk) => {
  await standStill(disk.path, {
    stop: `fsfreeze --freeze ${disk.path}`,
    resume: `fsfreeze --unfreeze ${disk.path}`,
  });
}, ["fsfreeze"]);

for (const engine of engines) {
  serverTest(`a program ends in time while its server stands still [${engine}]`, async (server) => {
    const other = `${server.backing}/other`;
    const args = [`${server.path}/file`, other];
    const child = spawn("end_beside_server", { args, env: { DMA_ENGINE: engine } });
    const input = child.stdin.getWriter();
    const output = lines(child.stdout);
    assertEquals((await output.next()).value, "ready");
    server.daemon.child.kill("SIGSTOP");
    try {
      await input.write(new Uint8Array(1));
      assertEquals((await within(30, "The end", output.next())).value, "over");
    } finally {
      server.daemon.child.kill("SIGCONT");
    }
    await output.return?.();
    await input.close();
    const told = await new Response(child.stderr).text();
    assertStringIncludes(told, `'${args[0]}' does not have everything that was written to it`);
    await child.status;
    // Files on other file systems are complete.
    assert(!told.includes(other), told);
    await assertContent(other, 3_000_001);
  });
}

/** The time of one read, in milliseconds. */
const DELAY = 150;
/** More reads than Deno has threads. */
const READS = 64;

folderTest("the threads engine at its busiest leaves threads to Deno's own file operations", [
  "root",
  "gcc",
  "fuse",
], async (directory) => {
  await whileUp(await FaultFileSystem.open(directory), async (files) => {
    await Deno.writeFile(`${files.backing}/slow`, content(0, READS * 4096));
    await files.fault(`read delay ${DELAY}`);
    const busy = await resultOf("busyThreads", [`${files.path}/slow`, directory, String(READS)], {
      env: { DMA_ENGINE: "threads" },
    });
    assertEquals([busy.wrong, busy.inFlight], [-1, READS]);
    assert(busy.reads > DELAY * 2, `The reads must take their time: ${busy.reads} ms`);
    assert(busy.slowest < DELAY * 2, `One of Deno's own operations took ${busy.slowest} ms`);
  });
});
