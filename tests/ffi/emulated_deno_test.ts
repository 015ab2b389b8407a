// The module on the other architecture: a Deno for aarch64, run by user-mode emulation. The emulation has no io_uring,
// so this tests the threads engine; architectures_test.ts tests the ring.

import { fileURLToPath } from "node:url";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { emulatorFor } from "./architectures/targets.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { hasProgram, run } from "../setup/command.ts";

const program = fileURLToPath(new URL("architectures/copy.ts", import.meta.url));

/** Set by the setup, if it could fetch one. */
const deno = Deno.env.get("DMA_TEST_EMULATED_DENO");

const emulator = emulatorFor("aarch64");
const possible = deno !== undefined && emulator.length > 0 && hasProgram(emulator[0]!);
const how = possible ? "" : " (none to be had, or no emulator)";

testInOneDirectory(`Every operation does its work on a Deno for aarch64${how}`, async (dir) => {
  const content = pattern(1_000_001);
  await Deno.writeFile(dir.file("source"), content);
  const [command = "", ...before] = [...emulator, deno!];
  const flags = ["run", "-A", "--no-check", "--no-config", program];
  const args = [...before, ...flags, dir.file("source"), dir.file("target")];
  const { code, stdout, stderr } = await run(command, args, {
    // It has a separate cache of compiled code.
    env: { DENO_DIR: dir.file("cache"), DMA_ENGINE: "auto", NO_COLOR: "1" },
    signal: AbortSignal.timeout(120_000),
  });
  assertEquals(code, 0, stderr);
  // Emulators drop the part of statx about Direct I/O.
  assertStringIncludes(stdout, "copied on aarch64 by threads");
  for (const copied of ["target", "target.atomic"]) await assertFile(dir.file(copied), content);
}, { bothEngines: false, ignore: !possible });
