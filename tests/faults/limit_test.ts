// Files that may grow no further (RLIMIT_FSIZE): the kernel really cuts a write short, then refuses, and sends a
// signal that ends a process which does not ignore it.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { DmaError } from "../../mod.ts";
import { hasProgram } from "../setup/command.ts";
import { firstWrongInFile } from "./content.ts";
import { engines, folderTest } from "./machine.ts";
import { resultOf, runProgram } from "./programs.ts";

interface Limited {
  error?: Pick<DmaError, "code" | "op" | "path" | "message">;
  sticky: boolean;
  flushed: number;
  inFlight: number;
  poolBuffers: number;
  bytesWritten: number;
}

const LENGTH = 1_500_001;
const ignore = !hasProgram("prlimit");

/** Starts a program with files limited to so many bytes. */
function limited(bytes: number, signal: "ignored" | "deadly"): string[] {
  const trap = signal === "ignored" ? "trap '' XFSZ; " : "";
  return ["sh", "-c", `${trap}exec prlimit --fsize=${bytes} "$0" "$@"`];
}

for (const engine of engines) {
  for (const [what, limit] of [["aligned", 1_024_000], ["unaligned", 1_000_001]] as const) {
    folderTest(
      `a file that may grow no further than an ${what} limit fails once and for all [${engine}]`,
      { ignore },
      async (folder) => {
        const args = [folder, String(LENGTH)];
        const env = { DMA_ENGINE: engine };
        // The control: without a limit there is no failure.
        const free = await resultOf<Limited>("limited", { args, env });
        assertEquals({ error: free.error, flushed: free.flushed }, {
          error: undefined,
          flushed: LENGTH,
        });

        const wrapper = limited(limit, "ignored");
        const result = await resultOf<Limited>("limited", { args, env, wrapper });
        const { error, sticky, flushed, inFlight, poolBuffers, bytesWritten } = result;
        assert(error, "The limit must be met");
        if (what === "aligned") assert(bytesWritten > flushed + 4096, "No write was cut short");
        // What is left up to an unaligned limit is no piece for Direct I/O: the kernel calls it invalid.
        const codes = what === "aligned" ? ["EFBIG"] : ["EFBIG", "EINVAL"];
        assert(codes.includes(error.code), error.message);
        assertEquals({ op: error.op, path: error.path }, { op: "write", path: `${folder}/file` });
        assertEquals({ sticky, inFlight, poolBuffers }, {
          sticky: true,
          inFlight: 0,
          poolBuffers: 0,
        });
        assert(
          flushed > limit - 5 * 64 * 1024 && flushed <= limit,
          `${flushed} bytes are flushed`,
        );
        assertEquals((await Deno.stat(`${folder}/file`)).size, flushed);
        assertEquals(await firstWrongInFile(`${folder}/file`, flushed), -1);
      },
    );
  }

  folderTest(
    `without ignoring SIGXFSZ the process ends by it, or the writer fails, and nothing is wrong [${engine}]`,
    { ignore },
    async (folder) => {
      const wrapper = limited(1_024_000, "deadly");
      const env = { DMA_ENGINE: engine };
      const ended = await runProgram("limited", { args: [folder, String(LENGTH)], env, wrapper });
      assert(!ended.late);
      if (ended.signal === null) assertStringIncludes(ended.stdout, "EFBIG");
      else assertEquals(ended.signal, "SIGXFSZ");
      // Up to the buffers in flight everything was on its way.
      assertEquals(await firstWrongInFile(`${folder}/file`, 512 * 1024), -1);
    },
  );
}
