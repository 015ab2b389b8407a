// What belongs to this copy of the module, in this isolate, under this runtime, says so everywhere else.

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { run } from "../setup/command.ts";

for (const entry of ["mod.ts", "node.ts"]) {
  Deno.test(`Another runtime is told that ${entry} runs on Deno alone`, async () => {
    const url = JSON.stringify(new URL(`../../${entry}`, import.meta.url).href);
    const args = ["eval", "--no-check", `delete globalThis.Deno; await import(${url});`];
    const { code, stderr } = await run(Deno.execPath(), args, { env: { NO_COLOR: "1" } });
    assertEquals(code, 1);
    assertMatch(stderr, /Error: @denodma\/dma runs on Deno alone: /);
  });
}

testInOneDirectory("Files and buffers are not cloned", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const buffer = file.allocBuffer(1);
  const { port1, port2 } = new MessageChannel();
  for (const object of [file, buffer]) {
    const message = object === file
      ? "A DmaFile belongs to its isolate"
      : "A DmaBuffer belongs to its isolate";
    for (const clone of [() => structuredClone(object), () => port1.postMessage({ object })]) {
      const error = assertThrows(clone, DOMException, message);
      assertEquals((error as DOMException).name, "DataCloneError");
    }
  }
  port1.close();
  port2.close();
});

testInOneDirectory(
  "A file of another copy of the module is told from one of this",
  async (dir) => {
    const url = new URL("../../mod.ts", import.meta.url).href;
    const { code, output } = await runChild(`
    // Modules with another address are another copy, as by two versions in one program.
    const other = await import(${JSON.stringify(url)} + "?copy");
    const internal = await import(${
      JSON.stringify(url.replace("mod.ts", "src/dma_file.ts"))
    } + "?copy");
    const file = await dma.DmaFile.create(${JSON.stringify(dir.file("file"))});
    const say = (work) => {
      try {
        work();
      } catch (error) {
        console.log(error.name + ": " + error.message);
      }
    };
    say(() => new internal.DmaStreamWriter(file));
    say(() => new internal.DmaStreamReader(file));
    const theirs = await internal.DmaFile.create(${JSON.stringify(dir.file("theirs"))});
    await report(() => theirs.copyRangeTo(file, 0, 1, 0));
    // Streams are streams, whoever made them.
    await theirs.writable.write(new Uint8Array(10_000));
    await theirs.writable.close();
    const again = await internal.DmaFile.open(${JSON.stringify(dir.file("theirs"))});
    await again.readable.pipeTo(file.writable);
  `);
    const why =
      "an object (DmaFile): it comes from another copy of this module: import it from one place, in one version";
    assertEquals([code, ...output.split("\n")], [
      0,
      `TypeError: Cannot write to ${why}`,
      `TypeError: Cannot read from ${why}`,
      `TypeError: Cannot copy to ${why}`,
    ]);
    assertEquals((await Deno.stat(dir.file("file"))).size, 10_000);
  },
);

testInOneDirectory("Anything else is no file", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  for (const Class of [DmaStreamWriter, DmaStreamReader]) {
    for (const wrong of [undefined, null, {}, "file", file.path, Object.create(file)]) {
      assertThrows(() => new Class(wrong as DmaFile), TypeError);
    }
  }
});
