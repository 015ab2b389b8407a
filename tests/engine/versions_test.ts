// The supported versions of Deno: an older one gets one clear error.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { OLDEST_DENO } from "../../src/runtime.ts";
import { testOnce } from "../support/once.ts";
import { run } from "../setup/command.ts";

const module = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);

/** Imports the module in a Deno that reports `version`, and opens a file. */
async function importIn(version: string): Promise<{ code: number; output: string }> {
  const code = `
    const version = { ...Deno.version, deno: ${JSON.stringify(version)} };
    Object.defineProperty(Deno, "version", { value: version });
    const { DmaFile } = await import(${module});
    await (await DmaFile.open(Deno.execPath())).close();
    console.log("opened");`;
  const args = ["eval", "--quiet", "--no-config", "--no-lock", code];
  const ran = await run(Deno.execPath(), args, { env: { NO_COLOR: "1" } });
  return { code: ran.code, output: ran.output };
}

testOnce("A Deno that is too old gets one clear sentence", async () => {
  for (const version of ["1.46.3", "2.1.4", "2.7.14"]) {
    const { code, output } = await importIn(version);
    assertEquals(code, 1);
    const sentence =
      `@denodma/dma needs Deno ${OLDEST_DENO} or newer, and this is Deno ${version}: run \`deno upgrade\``;
    assertStringIncludes(output, sentence);
  }
});

testOnce("The oldest Deno that is promised, and newer ones, may import the module", async () => {
  for (const version of [OLDEST_DENO, "2.10.0", "2.9.6+abc1234", "3.0.0-rc.1", "10.0.0"]) {
    assertEquals(await importIn(version), { code: 0, output: "opened\n" }, version);
  }
});

testOnce("README.md promises the oldest Deno that the module accepts", async () => {
  const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  assertStringIncludes(readme, `Deno ${OLDEST_DENO.replace(/\.0$/, "")} or newer`);
});
