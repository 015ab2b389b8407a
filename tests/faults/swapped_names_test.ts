// Names that another program swaps while they are opened: nothing outside of what Deno's permissions allow is read,
// emptied, made or removed, in thousands of tries.

import { assert, assertEquals } from "@std/assert";
import { engines, folderTest } from "./machine.ts";
import { resultOf } from "./programs.ts";
import { Daemon } from "./tools.ts";

/** An exchange meets most tries; what is there for a moment is met by few. */
const TRIES = { exchange: 400, replace: 1500 };
const SECRET = new Uint8Array(5000).fill(1);

interface Result {
  done: number;
  refused: Record<string, number>;
}

/** What is swapped: `link` is a file inside or a link to one outside, `folder` likewise; `file` becomes a link. */
const swapped: Record<string, { name: string; kind: "exchange" | "replace" }> = {
  read: { name: "link", kind: "exchange" },
  empty: { name: "link", kind: "exchange" },
  make: { name: "folder", kind: "exchange" },
  atomic: { name: "folder", kind: "exchange" },
  rename: { name: "folder", kind: "exchange" },
  remove: { name: "folder", kind: "exchange" },
  replaced: { name: "file", kind: "replace" },
};

async function prepare(directory: string): Promise<{ inside: string; outside: string }> {
  const [inside, outside] = [`${directory}/inside`, `${directory}/outside`];
  await Deno.mkdir(`${inside}/real`, { recursive: true });
  await Deno.mkdir(outside);
  await Deno.writeFile(`${outside}/secret`, SECRET);
  await Deno.writeFile(`${inside}/link`, new Uint8Array(5000).fill(7));
  await Deno.symlink(`${outside}/secret`, `${inside}/link.other`);
  await Deno.mkdir(`${inside}/folder`);
  await Deno.symlink(outside, `${inside}/folder.other`);
  return { inside, outside };
}

for (const engine of engines) {
  for (const [name, { name: target, kind }] of Object.entries(swapped)) {
    folderTest(`names that are swapped lead nowhere outside: ${name} [${engine}]`, {
      needs: ["gcc"],
    }, async (directory) => {
      const { inside, outside } = await prepare(directory);
      const { mtime } = await Deno.stat(outside);
      const other = kind === "exchange" ? `${inside}/${target}.other` : `${outside}/secret`;
      await using swapper = await Daemon.start("swapper", [kind, `${inside}/${target}`, other]);
      const { done, refused } = await resultOf<Result>("swapped", {
        args: [name, inside, String(TRIES[kind])],
        env: { DMA_ENGINE: engine },
        flags: [
          "--allow-ffi",
          "--allow-env=DMA_ENGINE",
          `--allow-read=${inside}`,
          `--allow-write=${inside}`,
        ],
      });
      const { swaps } = await swapper.counts();
      const seen = `${done} done, ${JSON.stringify(refused)} refused, ${swaps} swaps`;
      // The control: names were swapped meanwhile, and some of the tries met that.
      assert(swaps! > 100, seen);
      assert(done > 0, seen);
      if (kind === "exchange") assert(refused.NotCapable! > 0, seen);
      assertEquals([...Deno.readDirSync(outside)].map(({ name }) => name), ["secret"], seen);
      assertEquals(await Deno.readFile(`${outside}/secret`), SECRET, seen);
      // Not even for a moment.
      assertEquals((await Deno.stat(outside)).mtime, mtime, seen);
    });
  }
}
