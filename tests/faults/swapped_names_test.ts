// Names that another program swaps during an open: before whichever call to the kernel they are swapped, no file outside
// of Deno's permissions is read, truncated, created or removed.

import { assert, assertEquals } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { engineTest } from "./machine.ts";
import { resultOf } from "./programs.ts";

const SECRET = new Uint8Array(5000).fill(1);

engineTest("names that are swapped lead nowhere outside", async (directory, engine) => {
  const [inside, outside] = [`${directory}/inside`, `${directory}/outside`];
  await Deno.mkdir(`${inside}/folder`, { recursive: true });
  await Deno.mkdir(outside);
  await Deno.writeFile(`${outside}/secret`, SECRET);
  await Deno.writeFile(`${inside}/link`, new Uint8Array(5000).fill(7));
  for (const name of ["link", "file"]) {
    await Deno.symlink(`${outside}/secret`, `${inside}/${name}.other`);
  }
  await Deno.symlink(outside, `${inside}/folder.other`);
  const { mtime } = await Deno.stat(outside);
  const found = await resultOf("swapped", [inside], {
    env: { DMA_ENGINE: engine },
    flags: ["--allow-ffi", "--allow-env", `--allow-read=${inside}`, `--allow-write=${inside}`],
  });
  for (const [name, { done = 0, NotCapable = 0, ...others }] of Object.entries(found)) {
    // The control: some swaps were met, and some came too early or too late.
    assert(done > 0 && NotCapable > 0, Deno.inspect({ name, done, NotCapable, others }));
  }
  assertEquals(await namesIn(outside), ["secret"]);
  assertEquals(await Deno.readFile(`${outside}/secret`), SECRET);
  // Not even for a moment.
  assertEquals((await Deno.stat(outside)).mtime, mtime);
});
