// Runs many reads of a slow file, and measures Deno's own operations meanwhile. SLOW FOLDER READS
import { DmaFile, ioStats } from "../../../mod.ts";
import { firstWrong } from "../content.ts";

const [slow = "", folder = "", count = "0"] = Deno.args;
const reads = Number(count);
const file = await DmaFile.open(slow);
const began = performance.now();
let wrong = -1;
const all = Promise.all(
  Array.from({ length: reads }, async (_, index) => {
    const bytes = await file.readAt(index * 4096, 4096);
    if (bytes.length < 4096 || firstWrong(bytes, 4096, 0, index * 4096) >= 0) wrong = index * 4096;
  }),
);
// The alignment may have to be read before the reads themselves.
await new Promise((resolve) => setTimeout(resolve, 20));
const { inFlight } = ioStats();

let slowest = 0;
for (let round = 0; round < 3; round++) {
  for (
    const operation of [
      () => Deno.writeFile(`${folder}/own`, new Uint8Array(10_000)),
      () => Deno.readFile(`${folder}/own`),
      () => Deno.stat(`${folder}/own`),
      () => Deno.remove(`${folder}/own`),
    ]
  ) {
    const from = performance.now();
    await operation();
    slowest = Math.max(slowest, performance.now() - from);
  }
}
await all;
await file.close();
console.log(JSON.stringify({ inFlight, slowest, reads: performance.now() - began, wrong }));
