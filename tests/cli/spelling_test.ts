// Control and invisible characters in names are escaped in all output, so that no name misleads its reader.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { inOneLine, jsonText } from "../../cli/output.ts";
import { quoted } from "../../cli/remedies.ts";
import { hasProgram, run } from "../setup/command.ts";
import { namesIn, pattern } from "../support/bytes.ts";
import { dma, testInDirectory } from "./process.ts";

/** A right-to-left override, an isolate and its end, a line and a paragraph separator, an escape, a C1 control, a tag. */
const DECEIVING = "a\u202eb\u2067c\u2069d\u2028e\u2029f\x1bg\x9bh\u{e0041}i\nj";
const SPELT = String.raw`a\u202eb\u2067c\u2069d\u2028e\u2029f\u001bg\u009bh\U000e0041i\nj`;

function assertHarmless(text: string): void {
  assertEquals(text.match(/[^\n\P{Cc}]|\p{Cf}|\p{Zl}|\p{Zp}/gu), null, JSON.stringify(text));
}

Deno.test("inOneLine() spells out what is no visible character, and keeps all scripts", () => {
  assertEquals(inOneLine(DECEIVING), SPELT);
  assertEquals(inOneLine("a\nb\tc"), String.raw`a\nb\tc`);
  const text = "Żółć نامه‌ای 名前 👩‍👩‍👧 é";
  assertEquals(inOneLine(text), text);
});

Deno.test("jsonText() spells the same out, and stays JSON", () => {
  for (const indent of [undefined, 2]) {
    const text = jsonText({ path: DECEIVING }, indent);
    assertHarmless(text);
    assertEquals(JSON.parse(text), { path: DECEIVING });
  }
});

const ignore = !hasProgram("bash");

Deno.test("quoted() gives a word that a shell reads as the same name", { ignore }, async () => {
  for (const path of [DECEIVING, "it's\\\u202e", "plain"]) {
    const options = { env: { LC_ALL: "C.UTF-8" } };
    assertEquals((await run("bash", ["-c", `printf %s ${quoted(path)}`], options)).stdout, path);
    assertHarmless(quoted(path));
  }
});

testInDirectory("dma spells out names in summaries, errors, remedies and JSON", async (dir) => {
  const path = `${dir}/${DECEIVING}`;
  const runs = [
    await dma(["write", path], pattern(10)),
    await dma(["write", "--json", path], pattern(10)),
    await dma(["copy", path, `${path}.missing/x`]),
    await dma(["doctor", path]),
    await dma(["doctor", "--json", path]),
    await dma(["write", `--${DECEIVING}`]),
  ];
  for (const { stdout, stderr } of runs) assertHarmless(stdout + stderr);
  const [written, json, copied] = runs;
  assertStringIncludes(written!.stderr, `to ${dir}/${SPELT}; `);
  assert(copied!.stderr.includes(`mkdir -p $'${dir}/${SPELT}.missing'\n`), copied!.stderr);
  assertEquals(JSON.parse(json!.stdout).path, path);
  assertEquals(await namesIn(dir), [DECEIVING]);
});
