// Writes and reads with many operations in flight, says how far a sync() promised, and waits for a signal. With HOW
// "abort" a listener aborts the writer. HOW FOLDER
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import { content } from "../content.ts";

const [how, folder = ""] = Deno.args;

const writer = new DmaStreamWriter(await DmaFile.create(`${folder}/file`), {
  bufferSize: 128 * 1024,
  writeBehind: 8,
});

async function writeOn(): Promise<void> {
  for (let at = 0;; at += 100_000) {
    await writer.write(content(at, 100_000));
    if (at % 1_000_000 === 0) {
      const synced = await writer.sync();
      Deno.stdout.writeSync(new TextEncoder().encode(`synced 1 ${synced}\n`));
      if (synced > 0) begun?.();
    }
  }
}

async function readOn(): Promise<void> {
  for (;;) {
    const file = await DmaFile.open(`${folder}/source`);
    for await (const _ of new DmaStreamReader(file, { bufferSize: 128 * 1024 }));
  }
}

let begun: (() => void) | undefined;
const busy = new Promise<void>((resolve) => begun = resolve);
console.log("open 1 0");
writeOn().catch(() => {});
readOn().catch(() => {});
await busy;
await new Promise((resolve) => setTimeout(resolve, 20));
if (how === "abort") {
  Deno.addSignalListener("SIGINT", async () => {
    await writer.abort(new Error("Interrupted"));
    console.log(`aborted ${writer.currentFlushedPos}`);
    Deno.exit(130);
  });
}
console.log("ready");
