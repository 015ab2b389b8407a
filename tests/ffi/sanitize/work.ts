// Ordinary work of every kind, which calls all C functions. FOLDER
import { DmaFile, DmaStreamReader, engineInfo } from "../../../mod.ts";
import { content, firstWrong } from "../../faults/content.ts";
import { allWork } from "../../faults/programs/all_work.ts";

const [folder = ""] = Deno.args;

const { wrong } = await allWork(folder);
if (wrong.length > 0) throw new Error(`Wrong: ${wrong}`);

const LENGTH = 300_007;
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

// Workers that are terminated in the middle: the C part releases their resources.
await Deno.writeFile(`${folder}/source`, content(0, LENGTH));
for (const what of ["write", "read", "read at", "nothing more"]) {
  for (let round = 0; round < 5; round++) {
    const program = new URL("busy_worker.ts", import.meta.url);
    const worker = new Worker(program, { type: "module" });
    const busy = Promise.withResolvers<unknown>();
    worker.onmessage = busy.resolve;
    worker.onerror = busy.reject;
    worker.postMessage({ folder, what });
    await busy.promise;
    worker.terminate();
  }
}
// Their threads end in their own time.
await new Promise((resolve) => setTimeout(resolve, 1000));
console.log(`done ${engineInfo().engine}`);
