// Every error number of Linux has its name, and the text and the class of error that Deno gives for it.

import { exists } from "../setup/command.ts";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
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
    assertEquals(beyond.message, `Unknown error (os error ${last + 1}): open 'x'`);
  },
});

Deno.test("An error number has the class of error that Deno gives for it", async () => {
  const directory = await Deno.makeTempDir();
  const seen = async (errno: number, work: () => Promise<unknown>) => {
    const theirs = await work().then(() => undefined, (error) => error);
    const ours = ioError(errno, "open", directory);
    assertInstanceOf(ours, theirs.constructor);
    const [text] = ours.message.split(": ");
    assert(text!.endsWith(` (os error ${errno})`), text);
    assert(theirs.message.startsWith(text), theirs.message);
  };
  await Deno.symlink("loop", `${directory}/loop`);
  await seen(2, () => Deno.open(`${directory}/missing`));
  await seen(17, () => Deno.open(directory, { write: true, createNew: true }));
  await seen(20, () => Deno.open("/proc/version/below"));
  await seen(21, () => Deno.open(directory, { write: true }));
  await seen(40, () => Deno.open(`${directory}/loop`));
  await seen(36, () => Deno.open(`${directory}/${"x".repeat(300)}`));
  await Deno.remove(directory, { recursive: true });
});
