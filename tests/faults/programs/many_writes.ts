// Writes enough for its buffers to be registered, and prints the pinned memory. FILE
import { DmaFile, DmaStreamWriter, engineInfo } from "../../../mod.ts";
import { content, firstWrongInFile } from "../content.ts";

const [path = ""] = Deno.args;
const chunk = 1 << 20;
const chunks = 8;
/** Memory is registered after 512 MiB have gone through it. */
const files = 80;
const bytes = Array.from({ length: chunks }, (_, index) => content(index * chunk, chunk));
for (let file = 1; file < files; file++) {
  const writer = new DmaStreamWriter(await DmaFile.create(path), { syncOnClose: false });
  for (const each of bytes) await writer.write(each);
  await writer.close();
}
const writer = new DmaStreamWriter(await DmaFile.create(path));
for (const each of bytes) await writer.write(each);
await writer.flushAligned();
const status = await Deno.readTextFile("/proc/self/status");
const pinned = Number(/^VmPin:\s*(\d+)/m.exec(status)?.[1]);
await writer.close();
const wrong = await firstWrongInFile(path, chunks * chunk);
console.log(JSON.stringify({ info: engineInfo(), pinned, wrong }));
