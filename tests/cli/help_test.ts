// The help text: it has examples, fits a terminal, agrees with the code, and needs no permission.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { STOPPING_SIGNALS } from "../../cli/exit_codes.ts";
import { formatSize } from "../../cli/units.ts";
import { DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND } from "../../mod.ts";
import { testOnce } from "../support/once.ts";
import { succeeds } from "./process.ts";

const COMMANDS = ["write", "copy", "read", "doctor", "bench", "completion"];

/** The output, without any permission. */
async function printed(...args: string[]): Promise<string> {
  const { stdout, stderr } = await succeeds(args, undefined, { flags: [] });
  assertEquals(stderr, "");
  return stdout;
}

testOnce("dma --help lists each command, exit code and permission", async () => {
  const text = await printed("--help");
  for (const command of COMMANDS) assertMatch(text, new RegExp(`^  ${command} .* {2}\\S`, "m"));
  for (const code of [0, 1, 2, ...Object.values(STOPPING_SIGNALS)]) {
    assertMatch(text, new RegExp(`^  ${code} +\\S`, "m"));
  }
  for (const flag of ["--allow-ffi", "--allow-read", "--allow-write"]) {
    assertStringIncludes(text, flag);
  }
});

testOnce("The help of dma and of each command fits 80 columns and shows examples", async () => {
  for (const args of [[], ...COMMANDS.map((command) => [command])]) {
    const text = await printed(...args, "--help");
    for (const line of text.split("\n")) assert(line.length <= 80, `${line.length}: ${line}`);
    assertStringIncludes(text, "\nExamples:\n");
  }
  assertEquals(await printed("help", "copy"), await printed("copy", "--help"));
});

testOnce("The help of write and copy describes the defaults and durability", async () => {
  const size = formatSize(DEFAULT_BUFFER_SIZE);
  for (const command of ["write", "copy"]) {
    const text = await printed(command, "--help");
    assertStringIncludes(text, `${size} buffers, ${DEFAULT_WRITE_BEHIND} in flight`);
    assertStringIncludes(text, `(default: ${size})`);
    assertStringIncludes(text, `(default: ${DEFAULT_WRITE_BEHIND})`);
    assertMatch(text, /power cut/);
  }
});

testOnce("dma completes and prints its version without any permission", async () => {
  for (const args of [["completion", "bash"], ["--version"]]) {
    assert((await printed(...args)).length > 5);
  }
});
