// Terminates a reading Worker on command, and checks memory for the bytes of the Worker's late reads. FOLDER
// OTHER_FOLDER web|node; lines on standard input: "terminate", then "check"
import { Worker as NodeWorker } from "node:worker_threads";
import { DmaFile } from "../../../mod.ts";

const [folder = "", other = "", kind = ""] = Deno.args;
const script = new URL("busy_worker.ts", import.meta.url);

async function told(): Promise<void> {
  await Deno.stdin.read(new Uint8Array(64));
}

function answer(worker: Worker): Promise<unknown> {
  return new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
}

const worker = kind === "node" ? new NodeWorker(script) : new Worker(script, { type: "module" });
worker.postMessage({ folder, what: "read at" });
await told();
await worker.terminate();
// Its heap is freed a little later.
await new Promise((resolve) => setTimeout(resolve, 300));

// Other threads reuse a thread's memory sooner than this one.
const watcher = new Worker(script, { type: "module" });
watcher.postMessage({ folder, what: "watch" });
await answer(watcher);
const files = [];
for (let index = 0; index < 8; index++) {
  const file = await DmaFile.create(`${other}/${index}`);
  const buffer = file.allocBuffer(1 << 20);
  buffer.bytes.fill(7);
  files.push({ file, buffer });
}
console.log("allocated");
await told();
watcher.postMessage("check");
let written = await answer(watcher) as number;
written += files.filter(({ buffer }) => buffer.bytes.some((byte) => byte !== 7)).length;
for (const { file, buffer } of files) {
  await file.writeAt(buffer, 0);
  await file.close();
}
console.log(`written ${written}`);
Deno.exit(0);
