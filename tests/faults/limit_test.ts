// File size limits (RLIMIT_FSIZE): the kernel shortens a write, refuses the next one, and sends a signal that ends the
// process unless it is ignored.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { hasProgram } from "../setup/command.ts";
import { firstWrongInFile } from "./content.ts";
import { assertContent } from "./failed_writer.ts";
import { engines, folderTest } from "./machine.ts";
import { type ProgramOptions, resultOf, runProgram } from "./programs.ts";
import { LENGTH, type Outcome } from "./scenarios.ts";

const ignore = !hasProgram("prlimit");

/** How a writer of a new file runs, with files limited to so many bytes. */
function limitedTo(bytes: number, signal: "ignored" | "deadly", folder: string): ProgramOptions {
  const trap = signal === "ignored" ? "trap '' XFSZ; " : "";
  return {
    args: ["a writer of a new file", folder],
    wrapper: ["sh", "-c", `${trap}exec prlimit --fsize=${bytes} "$0" "$@"`],
  };
}

for (const engine of engines) {
  const env = { DMA_ENGINE: engine };

  for (const [what, limit] of [["aligned", 225_280], ["unaligned", 225_001]] as const) {
    const name = `a file that may grow no further than an ${what} limit fails for good [${engine}]`;
    folderTest(name, { ignore }, async (folder) => {
      const options = limitedTo(limit, "ignored", folder);
      // The control: without a limit there is no failure.
      const free = await resultOf<Outcome>("scenario", { env, ...options, wrapper: [] });
      assertEquals([free.error, free.flushed], [undefined, LENGTH]);

      const { error, sticky, flushed, inFlight, poolBuffers, bytesWritten } = await resultOf<
        Outcome & Record<"inFlight" | "poolBuffers" | "bytesWritten", number>
      >("scenario", { env, ...options });
      // The rest up to an unaligned limit is not aligned for Direct I/O: the kernel returns EINVAL.
      const codes = what === "aligned" ? ["EFBIG"] : ["EFBIG", "EINVAL"];
      assert(codes.includes(error!.code), error!.message);
      assertEquals([error!.op, error!.path], ["write", `${folder}/file`]);
      if (what === "aligned") assert(bytesWritten > flushed + 4096, "No write was cut short");
      assertEquals([sticky, inFlight, poolBuffers], [true, 0, 0]);
      assert(flushed > 150_000 && flushed <= limit, `${flushed} bytes are flushed`);
      await assertContent(`${folder}/file`, flushed);
    });
  }

  const name = `without ignoring SIGXFSZ it ends the process, or the writer fails [${engine}]`;
  folderTest(name, { ignore }, async (folder) => {
    const options = limitedTo(225_280, "deadly", folder);
    const { signal, stdout } = await runProgram("scenario", { env, ...options });
    if (signal === null) assertStringIncludes(stdout, "EFBIG");
    else assertEquals(signal, "SIGXFSZ");
    // The file was synced before.
    assertEquals(await firstWrongInFile(`${folder}/file`, 150_000), -1);
  });
}
