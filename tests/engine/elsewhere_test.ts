// Objects of another copy of the module, another isolate or another runtime are rejected with a clear error.

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { run } from "../setup/command.ts";

const urlOf = (path: string) => new URL(`../../${path}`, import.meta.url).href;

for (const entry of ["mod.ts", "node.ts"]) {
  Deno.test(`In another runtime ${entry} throws: only on Deno`, async () => {
    const program = `delete globalThis.Deno; await import("${urlOf(entry)}");`;
    const args = ["eval", "--no-check", program];
    const { code, stderr } = await run(Deno.execPath(), args, { env: { NO_COLOR: "1" } });
    assertEquals(code, 1);
    assertMatch(stderr, /Error: @denodma\/dma runs only on Deno: /);
  });
}

testInOneDirectory("Files and buffers are not cloned", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  const { port1, port2 } = new MessageChannel();
  for (const [name, object] of Object.entries({ DmaFile: file, DmaBuffer: file.allocBuffer(1) })) {
    for (const clone of [() => structuredClone(object), () => port1.postMessage({ object })]) {
      const error = assertThrows(clone, DOMException, `A ${name} belongs to its isolate`);
      assertEquals(error.name, "DataCloneError");
    }
  }
  port1.close();
  port2.close();
  // An object that only inherits from a file is not one.
  assertThrows(() => new DmaStreamWriter(Object.create(file)), TypeError);
});

testInOneDirectory("A file of another copy of the module is recognized", async (dir) => {
  // Modules with another address are another copy, as by two versions in one program.
  const program = `
    const { DmaFile, DmaStreamWriter, DmaStreamReader } = await import("${
    urlOf("src/dma_file.ts")
  }?copy");
    const file = await dma.DmaFile.create(${JSON.stringify(dir.file("file"))});
    const theirs = await DmaFile.create(${JSON.stringify(dir.file("theirs"))});
    await report(() => new DmaStreamWriter(file));
    await report(() => new DmaStreamReader(file));
    await report(() => theirs.copyRangeTo(file, 0, 1, 0));
    // Streams of another copy work as plain streams.
    await theirs.writable.write(new Uint8Array(10_000));
    await theirs.writable.close();
    const again = await DmaFile.open(theirs.path);
    await again.readable.pipeTo(file.writable);`;
  const { code, output } = await runChild(program);
  const why =
    "an object (DmaFile): it comes from another copy of this module: import it from one place, in one version";
  assertEquals([code, ...output.split("\n")], [
    0,
    `TypeError: Cannot write to ${why}`,
    `TypeError: Cannot read from ${why}`,
    `TypeError: Cannot copy to ${why}`,
  ]);
  assertEquals((await Deno.stat(dir.file("file"))).size, 10_000);
});
