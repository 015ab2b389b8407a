// The threads engine with more to do than it has threads, on a disk that takes its time: Deno's own file operations
// and lookups, which share these threads, go on all the same.

import { assert, assertEquals } from "@std/assert";
import { content } from "./content.ts";
import { FaultFileSystem } from "./fault_file_system.ts";
import { folderTest, whileUp } from "./machine.ts";
import { copyModule } from "./module_copy.ts";
import { resultOf } from "./programs.ts";

/** What programs/busy_threads.ts prints. */
interface Busy {
  /** Reads of this module that were under way or waiting meanwhile. */
  inFlight: number;
  /** How long the slowest of Deno's own operations took, in milliseconds. */
  slowest: number;
  /** How long the reads of this module took in all, in milliseconds. */
  reads: number;
  wrong: number;
}

/** A read takes so long, in milliseconds. */
const DELAY = 150;
/** More than Deno has threads. */
const READS = 64;

folderTest("the threads engine at its busiest leaves threads to Deno's own file operations", {
  needs: ["root", "gcc", "fuse"],
}, async (directory) => {
  await whileUp(await FaultFileSystem.open(directory), async (files) => {
    const { path, backing } = files;
    await Deno.writeFile(`${backing}/slow`, content(0, READS * 4096));
    await files.inject({ operation: "read", nth: 0, kind: "delay", value: DELAY });
    const options = {
      args: [`${path}/slow`, directory, String(READS)],
      env: { DMA_ENGINE: "threads" },
    };
    const busy = await resultOf<Busy>("busy_threads", options);
    assertEquals(busy.wrong, -1);
    assertEquals(busy.inFlight, READS);
    assert(busy.reads > DELAY * 2, `The reads must take their time: ${busy.reads} ms`);
    assert(busy.slowest < DELAY * 2, `One of Deno's own operations took ${busy.slowest} ms`);

    // The control: an engine that takes every thread there is has Deno wait for nearly all of it.
    const module = await copyModule(`${directory}/module`, {
      file: "src/engine/thread_calls.ts",
      from: "return free > 0 && own < Math.ceil((free + own) * SHARE);",
      to: "return true;",
    });
    const greedy = await resultOf<Busy>("busy_threads", { ...options, module });
    assert(greedy.slowest > DELAY * 2, `${greedy.slowest} ms: nothing was starved`);
  });
});
