// The module on the other architecture: a Deno for aarch64, run by user-mode emulation. The emulation has no io_uring,
// so this tests the threads engine; architectures_test.ts tests the ring.

import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
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

testInOneDirectory(
  `Every operation does its work on a Deno for aarch64${how}`,
  async (dir) => {
    const [source, target, atomic] = [dir.file("source"), dir.file("target"), dir.file("atomic")];
    const content = pattern(1_000_001);
    await Deno.writeFile(source, content);
    const { mtime } = await Deno.stat(source);
    const [command = "", ...before] = [...emulator, deno!];
    const flags = ["-A", "--no-check", "--no-config"];
    const args = [...before, "run", ...flags, program, source, target, atomic];
    const { code, stdout, stderr } = await run(command, args, {
      // It has a separate cache of compiled code.
      env: { DENO_DIR: dir.file("cache"), DMA_ENGINE: "auto", NO_COLOR: "1" },
      signal: AbortSignal.timeout(120_000),
    });
    assertEquals(code, 0, stderr);
    // The use of Direct I/O is not compared, because emulators drop that part of statx.
    const { direct: _direct, ...found } = JSON.parse(stdout);
    assertEquals(found, {
      architecture: "aarch64",
      engine: "threads",
      kernel: Deno.osRelease(),
      size: content.length,
      modified: mtime!.getTime(),
      locked: [false, null, true],
      copied: [4095, 4095],
      far: [4096, 96, 4096, "640"],
      preallocated: 12_288,
      removed: true,
      missing: [true, "ENOENT", 2],
    });
    await assertFile(target, content);
    await assertFile(atomic, content);
  },
  { bothEngines: false, ignore: !possible },
);
