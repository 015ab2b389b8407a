// Libraries that the environment names, and that cannot be loaded: the error names the variable, the path and the reason.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runChild } from "../support/child.ts";
import { engineIsOfNoConcern } from "../support/once.ts";

const open = `await report(() => dma.DmaFile.open(${JSON.stringify(import.meta.filename)}));`;
const reason = `${open} console.log(dma.engineInfo().reason);`;

if (engineIsOfNoConcern) {
  Deno.test("A wrong DMA_SHIM is reported with its path", async () => {
    for (
      const [path, why] of [
        ["/nonexistent.so", "/nonexistent.so: cannot open shared object file"],
        ["libm.so.6", "dma_"],
      ] as const
    ) {
      const { output } = await runChild(open, { env: { DMA_SHIM: path } });
      assertStringIncludes(output, `Error: Cannot load ${path}, which DMA_SHIM names (`);
      assertStringIncludes(output, why);
      assert(!output.includes("Could not open library"), output);
    }
  });

  Deno.test("A wrong DMA_LIBURING is reported with its path, and threads do the work", async () => {
    const env = { DMA_LIBURING: "/nonexistent.so", DMA_ENGINE: "" };
    const { code, output } = await runChild(reason, { env });
    assertEquals(code, 0);
    assertStringIncludes(output, "Cannot load /nonexistent.so, which DMA_LIBURING names (");
    assertStringIncludes(output, "Unset it to use the system's");
    assert(!output.includes("Could not open library"), output);
  });

  Deno.test("A wrong DMA_LIBURING is an error if io_uring is demanded", async () => {
    const env = { DMA_LIBURING: "libm.so.6", DMA_ENGINE: "io_uring" };
    const { output } = await runChild(open, { env });
    assertStringIncludes(output, "Cannot load libm.so.6, which DMA_LIBURING names (");
    assertStringIncludes(output, "io_uring_");
  });

  Deno.test("The shim loads where its descriptor was that of another library", async () => {
    const libc = JSON.stringify(new URL("../../ffi/libc.ts", import.meta.url).href);
    const { output } = await runChild(`
      const { openLibc } = await import(${libc});
      const { symbols } = openLibc({
        open: { parameters: ["buffer", "i32"], result: "i32" },
        close: { parameters: ["i32"], result: "i32" },
      });
      const [library] = /\\/\\S+\\/libm\\.so\\S*/.exec(Deno.readTextFileSync("/proc/self/maps"));
      const fd = symbols.open(new TextEncoder().encode(library + "\\0"), 0);
      Deno.dlopen("/proc/self/fd/" + fd, { cos: { parameters: ["f64"], result: "f64" } });
      symbols.close(fd);
      await report(() => dma.DmaFile.temp().then((file) => file.close()));`);
    assertEquals(output.trim(), "ok undefined");
  });
}
