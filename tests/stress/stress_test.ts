// The stress on each engine, for half a minute in all directories together.

import { assertEquals } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { runProgram } from "../faults/programs.ts";
import { root } from "../setup/command.ts";
import { testDirectories, testInEachDirectory } from "../support/dirs.ts";

const script = `${root}/tests/stress.ts`;
const each = Math.max(6, 30 / testDirectories.length);

for (const engine of engines) {
  testInEachDirectory(`Some seconds of the stress [${engine}]`, async ({ path }) => {
    const seed = Math.floor(Math.random() * 1e6);
    const args = ["--seconds", `${each}`, "--seed", `${seed}`, "--directory", path];
    const env = { DMA_ENGINE: engine };
    const { code, stdout, stderr } = await runProgram("", { script, args, env });
    assertEquals(code, 0, stdout + stderr);
  });
}
