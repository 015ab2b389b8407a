// Programs that end without closing their files: what was given to a writer is in the file, and its length is exact.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { assertFile, filled, joined, namesIn } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testDirectAndCached } from "../support/dirs.ts";

const LENGTH = 10_000_000;

/** How a program ends, and with which code. */
const ends: Record<string, { code: string; exit: number }> = {
  "by coming to its end": { code: "", exit: 0 },
  "by Deno.exit": { code: "Deno.exit(3);", exit: 3 },
  "by process.exit": { code: "(await import('node:process')).default.exit(4);", exit: 4 },
  "with an error": { code: "throw new Error('The program fails');", exit: 1 },
  "with an error in a timer": {
    code:
      "setTimeout(() => { throw new Error('The program fails'); }); await new Promise(() => {});",
    exit: 1,
  },
  "with a rejection": { code: "Promise.reject(new Error('The program fails'));", exit: 1 },
};

/** Runs a program that has `path` and writes sevens with `write(writer)`. */
type Run = (code: string) => Promise<{ code: number; output: string }>;

/** Registers a test of programs: `fn` is run side by side for each variant on each engine, with a folder of its own. */
function testPrograms<T>(
  name: string,
  variants: readonly T[],
  fn: (run: Run, variant: T, path: string, folder: string) => Promise<void>,
): void {
  testDirectAndCached(name, async (dir) => {
    const each = engines.flatMap((engine) =>
      variants.map(async (variant, index) => {
        const folder = dir.file(`${engine} ${index}`);
        await Deno.mkdir(folder);
        await fn(
          (code) => ended(`${folder}/file`, engine, code),
          variant,
          `${folder}/file`,
          folder,
        );
      })
    );
    await Promise.all(each);
  }, { bothEngines: false });
}

async function ended(path: string, engine: string, code: string): ReturnType<Run> {
  return await runChild(
    `
    const path = ${JSON.stringify(path)};
    const chunk = new Uint8Array(100_000).fill(7);
    const write = async (writer, awaited = true) => {
      for (let at = 0; at < ${LENGTH}; at += chunk.length) {
        const written = writer.write(chunk);
        if (awaited) await written;
      }
    };
    ${code}`,
    { env: { DMA_ENGINE: engine } },
  );
}

for (const [name, { code, exit }] of Object.entries(ends)) {
  testPrograms(
    `A program that ends ${name} loses nothing`,
    [true, false],
    async (run, awaited, path) => {
      const result = await run(
        `const writer = (await dma.DmaFile.create(path)).writable;
        ${awaited ? "await" : ""} write(writer, ${awaited});
        ${code}`,
      );
      assertEquals(result.code, exit, result.output);
      await assertFile(path, filled(LENGTH, 7));
    },
  );
}

const quietEnds = ["", "Deno.exit();"];

testPrograms(
  "A program that ends loses nothing that is behind other bytes",
  quietEnds,
  async (run, end, path) => {
    await Deno.writeFile(path, filled(5001, 1));
    const { code, output } = await run(
      `const file = await dma.DmaFile.open(path, { write: true });
      const writer = new dma.DmaStreamWriter(file, { append: true, closeFile: false });
      const lock = writer.getWriter();
      lock.write(chunk);
      ${end}`,
    );
    assertEquals([code, output], [0, ""]);
    await assertFile(path, joined(filled(5001, 1), filled(100_000, 7)));
  },
);

testPrograms(
  "Atomic files that nobody closed vanish with the program",
  quietEnds,
  async (run, end, path, folder) => {
    await Deno.writeFile(path, filled(10, 1));
    const { code, output } = await run(
      `const writer = (await dma.DmaFile.create(path, { atomic: true })).writable;
      await write(writer);
      const other = await dma.DmaFile.create(path + "2", { atomic: true });
      await other.writeAt(new Uint8Array(4096), 0);
      ${end}`,
    );
    assertEquals([code, output], [0, ""]);
    assertEquals(await namesIn(folder), ["file"]);
    await assertFile(path, filled(10, 1));
  },
);

testPrograms(
  "A program that ends in the middle of a close has the whole file",
  [0, 1, 2, 5],
  async (run, turns, path) => {
    const { code, output } = await run(
      `const writer = (await dma.DmaFile.create(path)).writable;
      await write(writer);
      writer.close();
      for (let turn = 0; turn < ${turns}; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
      Deno.exit();`,
    );
    assertEquals([code, output], [0, ""]);
    await assertFile(path, filled(LENGTH, 7));
  },
);

testPrograms("A program that goes on after an error goes on", [""], async (run, _, path) => {
  const { code, output } = await run(
    `addEventListener("unhandledrejection", (event) => event.preventDefault());
    const writer = (await dma.DmaFile.create(path)).writable;
    const atomic = (await dma.DmaFile.create(path + "2", { atomic: true })).writable;
    await write(writer);
    await write(atomic);
    Promise.reject(new Error("Nothing"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { size } = await Deno.stat(path);
    await write(writer);
    await writer.close();
    await atomic.close();
    console.log(size);`,
  );
  assertEquals([code, output], [0, String(LENGTH)]);
  await assertFile(path, filled(2 * LENGTH, 7));
  await assertFile(`${path}2`, filled(LENGTH, 7));
});

const lateListeners = [
  'addEventListener("unload", late); Deno.exit();',
  '(await import("node:process")).default.on("exit", late).exit();',
];

testPrograms(
  "What an exit handler writes and flushes is in the file",
  lateListeners,
  async (run, end, path) => {
    const { code, output } = await run(
      `const writer = (await dma.DmaFile.create(path)).writable;
      await write(writer);
      const late = () => {
        writer.write(chunk);
        writer.flushSync();
        console.log(writer.currentFlushedPos);
      };
      ${end}`,
    );
    assertEquals([code, output], [0, String(LENGTH + 100_000)]);
    await assertFile(path, filled(LENGTH + 100_000, 7));
  },
);

testPrograms(
  "A handler that writes when the event loop has run empty is told that the file is closed",
  ['addEventListener("unload", late);', '(await import("node:process")).default.on("exit", late);'],
  async (run, end, path) => {
    const { code, output } = await run(
      `const writer = (await dma.DmaFile.create(path)).writable;
      await write(writer);
      const late = () => {
        writer.flushSync();
        writer.write(chunk).catch(() => {});
        try {
          writer.flushSync();
        } catch (error) {
          console.log(error.message);
        }
      };
      ${end}`,
    );
    assertEquals([code, output], [0, "Cannot write a stream that is closed"]);
    await assertFile(path, filled(LENGTH, 7));
  },
);

testPrograms(
  "A warning names the file that could not be written in time",
  [""],
  async (run, _, path) => {
    const { code, output } = await run(
      `dma.configure({ exitTimeout: 0 });
      const writer = (await dma.DmaFile.create(path)).writable;
      write(writer, false);
      Deno.exit(3);`,
    );
    assertEquals(code, 3);
    assertStringIncludes(output, `Warning: '${path}' does not have everything`);
    const { size } = await Deno.stat(path);
    assert(size < LENGTH);
    await assertFile(path, filled(size, 7));
  },
);
