// The stress for half a minute on each engine, and a check that it calls every member.

import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import * as dma from "../../mod.ts";
import * as node from "../../node.ts";
import { engines } from "../faults/machine.ts";
import { runProgram } from "../faults/programs.ts";
import { actions } from "./rounds.ts";

const script = fileURLToPath(new URL("../stress.ts", import.meta.url));

Deno.test("Every public function and method takes part in the stress", () => {
  const covered = new Set(actions.flatMap(({ names }) => names));
  const all = Object.entries({ ...dma, ...node }).flatMap(([name, value]) => {
    if (typeof value !== "function") return [];
    const ofClass = ["open", "create", "temp"].filter((member) => member in value);
    const members = Object.getOwnPropertyNames(value.prototype ?? {})
      .filter((member) => member !== "constructor");
    if (members.length === 0) return [name];
    return [...members, ...ofClass].map((member) => `${name}.${member}`);
  });
  assert(all.length > 50, `Only ${all}`);
  // Classes whose members every use of a file calls.
  const elsewhere = ["DmaBuffer.bytes", "DmaBuffer.length"];
  assertEquals(all.filter((name) => !covered.has(name) && !elsewhere.includes(name)), []);
});

for (const engine of engines) {
  Deno.test(`Half a minute of the stress [${engine}]`, async () => {
    const seed = Math.floor(Math.random() * 1e6);
    const args = ["--seconds", "30", "--seed", `${seed}`];
    const env = { DMA_ENGINE: engine };
    const { code, stdout, stderr } = await runProgram("", { script, args, env, seconds: 200 });
    assertEquals(code, 0, stdout + stderr);
  });
}
