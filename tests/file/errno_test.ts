// Every error number of Linux has its name. open_test.ts checks that errors are Deno's own.

import { exists } from "../setup/command.ts";
import { assert, assertEquals } from "@std/assert";
import { ioError } from "../../src/errors.ts";

const headers = ["errno-base.h", "errno.h"].map((name) => `/usr/include/asm-generic/${name}`);

Deno.test({
  name: "Every error number has the name that the kernel's headers give",
  ignore: !headers.every(exists),
  fn: async () => {
    const text = (await Promise.all(headers.map((path) => Deno.readTextFile(path)))).join("\n");
    const named = [...text.matchAll(/^#define\s+(E\w+)\s+(\d+)\b/gm)];
    assert(named.length > 120);
    for (const [, code, number] of named) {
      assertEquals(ioError(Number(number), "open", "x").code, code, number);
    }
    const last = Math.max(...named.map(([, , number]) => Number(number)));
    const beyond = ioError(last + 1, "open", "x");
    assertEquals(beyond.code, `E${last + 1}`);
    // As in Deno's own errors.
    assertEquals(beyond.message, `Unknown error ${last + 1} (os error ${last + 1}): open 'x'`);
  },
});
