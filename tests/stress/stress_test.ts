// The stress for half a minute on each engine.

import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { runProgram } from "../faults/programs.ts";

const script = fileURLToPath(new URL("../stress.ts", import.meta.url));

for (const engine of engines) {
  Deno.test(`Half a minute of the stress [${engine}]`, async () => {
    const seed = Math.floor(Math.random() * 1e6);
    const args = ["--seconds", "30", "--seed", `${seed}`];
    const env = { DMA_ENGINE: engine };
    const { code, stdout, stderr } = await runProgram("", { script, args, env, seconds: 200 });
    assertEquals(code, 0, stdout + stderr);
  });
}
