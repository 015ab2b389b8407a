// Libraries that the environment names, and that cannot be loaded: the error names the variable, the path and the reason.
// A path without a library in DMA_LIBURING is in faults/restricted_test.ts.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runChild } from "../support/child.ts";
import { testOnce } from "../support/once.ts";

const open = `await report(() => dma.DmaFile.open(${JSON.stringify(import.meta.filename)}));`;

const wrong: [variable: string, path: string, why: string][] = [
  ["DMA_SHIM", "/nonexistent.so", "/nonexistent.so: cannot open shared object file"],
  ["DMA_SHIM", "libm.so.6", "dma_"],
  ["DMA_LIBURING", "libm.so.6", "io_uring_"],
];

for (const [variable, path, why] of wrong) {
  testOnce(`${path} in ${variable} is reported, where nothing else may do`, async () => {
    const { output } = await runChild(open, { env: { DMA_ENGINE: "io_uring", [variable]: path } });
    assertStringIncludes(output, `Cannot load ${path}, which ${variable} names (`);
    assertStringIncludes(output, why);
    assert(!output.includes("Could not open library"), output);
  });
}

testOnce("The shim loads where its descriptor was that of another library", async () => {
  const libc = new URL("../../ffi/library.ts", import.meta.url).href;
  const { output } = await runChild(`
    const { openLibc } = await import("${libc}");
    const symbols = openLibc({
      open: { parameters: ["buffer", "i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    });
    const [library] = /\\/\\S+\\/libm\\.so\\S*/.exec(Deno.readTextFileSync("/proc/self/maps"));
    const fd = symbols.open(new TextEncoder().encode(library + "\\0"), 0);
    Deno.dlopen("/proc/self/fd/" + fd, { cos: { parameters: ["f64"], result: "f64" } });
    symbols.close(fd);
    await report(() => dma.DmaFile.temp().then((file) => file.close()));`);
  assertEquals(output, "ok undefined");
});
