// Child processes of a program with open files inherit none of its descriptors.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { run } from "../setup/command.ts";

/** The paths of a child process's descriptors. */
async function descriptorsOfChild(shell: string): Promise<string> {
  const script = `${shell} for fd in /proc/self/fd/*; do readlink "$fd" || true; done`;
  return (await run("/bin/sh", ["-c", script])).stdout;
}

testInOneDirectory("A child process inherits no descriptor", async (dir) => {
  const [plain, atomic] = [dir.file("plain"), dir.file("atomic")];
  await using file = await DmaFile.create(plain);
  await using unnamed = await DmaFile.create(atomic, { atomic: true });
  await using appended = await DmaFile.open(dir.file("log"), { append: true, create: true });
  for (const each of [file, unnamed, appended]) await each.writable.write(pattern(100_000));
  const found = await descriptorsOfChild("");
  assert(!found.includes(dir.path), found);
  assert(!/io_uring|eventfd|memfd/.test(found), found);
  // The control: a descriptor that the child opens itself is found.
  assertStringIncludes(await descriptorsOfChild(`exec 9<${plain};`), plain);
  for (const each of [file, unnamed, appended]) await each.writable.close();
  assertEquals((await Deno.stat(atomic)).size, 100_000);
});
