// File size limits (RLIMIT_FSIZE): the kernel shortens a write, refuses the next one, and sends a signal that ends the
// process unless it is ignored.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { hasProgram } from "../setup/command.ts";
import { firstWrongInFile } from "./content.ts";
import { assertContent } from "./failed_writer.ts";
import { engines, folderTest } from "./machine.ts";
import { WRITTEN } from "./programs/jobs.ts";
import { resultOf, runProgram } from "./programs.ts";

const ignore = !hasProgram("prlimit");

/** What limits the files of a program to so many bytes. */
function limitTo(bytes: number, signal: "ignored" | "deadly"): string[] {
  const trap = signal === "ignored" ? "trap '' XFSZ; " : "";
  return ["sh", "-c", `${trap}exec prlimit --fsize=${bytes} "$0" "$@"`];
}

for (const engine of engines) {
  const env = { DMA_ENGINE: engine };

  for (const [what, limit] of [["aligned", 225_280], ["unaligned", 225_001]] as const) {
    const name = `a file that may grow no further than an ${what} limit fails for good [${engine}]`;
    folderTest(name, { ignore }, async (folder) => {
      const path = `${folder}/file`;
      // The control: without a limit there is no failure.
      const free = await resultOf("writeFile", [path], { env });
      assertEquals([free.error, free.flushed], [undefined, WRITTEN]);

      const limited = await resultOf("writeFile", [path], {
        env,
        wrapper: limitTo(limit, "ignored"),
      });
      const { error, sticky, flushed, used, bytesWritten } = limited;
      // The rest up to an unaligned limit is not aligned for Direct I/O: the kernel returns EINVAL.
      const codes = what === "aligned" ? ["EFBIG"] : ["EFBIG", "EINVAL"];
      assert(codes.includes(error!.code!), error!.message);
      assertEquals([error!.op, error!.path], ["write", path]);
      if (what === "aligned") assert(bytesWritten > flushed + 4096, "No write was cut short");
      assertEquals([sticky, used], [true, 0]);
      assert(flushed > 150_000 && flushed <= limit, `${flushed} bytes are flushed`);
      await assertContent(path, flushed);
    });
  }

  const name = `without ignoring SIGXFSZ it ends the process, or the writer fails [${engine}]`;
  folderTest(name, { ignore }, async (folder) => {
    const args = ["writeFile", `${folder}/file`];
    const options = { env, args, wrapper: limitTo(225_280, "deadly") };
    const { signal, stdout } = await runProgram("jobs", options);
    if (signal === null) assertStringIncludes(stdout, "EFBIG");
    else assertEquals(signal, "SIGXFSZ");
    // The file was synced before.
    assertEquals(await firstWrongInFile(`${folder}/file`, 150_000), -1);
  });
}
