// Names that another program swaps during an open: in thousands of tries no file outside of Deno's permissions is read,
// truncated, created or removed.

import { assert, assertEquals } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { engines, folderTest } from "./machine.ts";
import { resultOf } from "./programs.ts";
import { Daemon } from "./tools.ts";

/** Most tries meet an exchange of names, but few meet a name that exists only for a moment. */
const TRIES = { exchange: 400, replace: 1500 };
const SECRET = new Uint8Array(5000).fill(1);

/** The swapped names: `link` is a file inside or a link to one outside, `folder` likewise; `file` becomes a link. */
const swapped = {
  read: ["link", "exchange"],
  empty: ["link", "exchange"],
  make: ["folder", "exchange"],
  atomic: ["folder", "exchange"],
  rename: ["folder", "exchange"],
  remove: ["folder", "exchange"],
  replaced: ["file", "replace"],
} as const;

for (const engine of engines) {
  for (const [name, [target, kind]] of Object.entries(swapped)) {
    folderTest(
      `names that are swapped lead nowhere outside: ${name} [${engine}]`,
      ["gcc"],
      async (directory) => {
        const [inside, outside] = [`${directory}/inside`, `${directory}/outside`];
        await Deno.mkdir(`${inside}/folder`, { recursive: true });
        await Deno.mkdir(outside);
        await Deno.writeFile(`${outside}/secret`, SECRET);
        await Deno.writeFile(`${inside}/link`, new Uint8Array(5000).fill(7));
        await Deno.symlink(`${outside}/secret`, `${inside}/link.other`);
        await Deno.symlink(outside, `${inside}/folder.other`);
        const { mtime } = await Deno.stat(outside);

        const other = kind === "exchange" ? `${inside}/${target}.other` : `${outside}/secret`;
        await using swapper = await Daemon.start("swapper", [kind, `${inside}/${target}`, other]);
        const here = [`--allow-read=${inside}`, `--allow-write=${inside}`];
        const args = [name, inside, String(TRIES[kind])] as const;
        const { done, refused } = await resultOf("swapped", [...args], {
          env: { DMA_ENGINE: engine },
          flags: ["--allow-ffi", "--allow-env=DMA_ENGINE", ...here],
        });
        const swaps = await swapper.fired();
        const seen = `${done} done, ${JSON.stringify(refused)} refused, ${swaps} swaps`;
        // The control: names were swapped meanwhile, and some of the tries met a swap.
        assert(swaps > 100 && done > 0, seen);
        if (kind === "exchange") assert(refused.NotCapable! > 0, seen);
        assertEquals(await namesIn(outside), ["secret"], seen);
        assertEquals(await Deno.readFile(`${outside}/secret`), SECRET, seen);
        // Not even for a moment.
        assertEquals((await Deno.stat(outside)).mtime, mtime, seen);
      },
    );
  }
}
