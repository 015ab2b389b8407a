// Ordinary work, every way of it, with what the C side is asked for underneath. FOLDER
import { DmaFile, DmaStreamReader, engineInfo } from "../../mod.ts";
import { content, firstWrong } from "../faults/content.ts";
import { LENGTH, scenarios } from "../faults/scenarios.ts";

const [folder = ""] = Deno.args;

for (const [name, scenario] of Object.entries(scenarios)) {
  for (const file of ["file", "source"]) {
    await Deno.writeFile(`${folder}/${file}`, content(0, LENGTH));
  }
  const { error, wrong } = await scenario(folder);
  if (error || wrong >= 0) throw new Error(`${name}: ${error?.message}, wrong at ${wrong}`);
}

// Many at once, so that the ring is full and completions come in batches.
await Deno.writeFile(`${folder}/file`, content(0, LENGTH));
await using file = await DmaFile.open(`${folder}/file`);
await Promise.all(Array.from({ length: 1500 }, async (_, index) => {
  const at = index * 199;
  const bytes = await file.readAt(at, 1000);
  if (firstWrong(bytes, bytes.length, 0, at) >= 0) throw new Error(`Wrong bytes from ${at}`);
}));
const reader = new DmaStreamReader(await DmaFile.open(`${folder}/file`)).getReader({
  mode: "byob",
});
for (let view = new Uint8Array(100_001);;) {
  const { done, value } = await reader.read(view);
  if (done) break;
  view = new Uint8Array(value.buffer);
}
console.log(`done ${engineInfo().engine}`);
