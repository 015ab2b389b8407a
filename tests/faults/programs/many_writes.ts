// Writes enough through one writer for its buffers to be registered, and tells what is pinned then. FILE
import { DmaFile, DmaStreamWriter, engineInfo } from "../../../mod.ts";
import { content, firstWrongInFile } from "../content.ts";

const [path = ""] = Deno.args;
const chunk = 1 << 20;
const chunks = 48;
const writer = new DmaStreamWriter(await DmaFile.create(path));
for (let index = 0; index < chunks; index++) await writer.write(content(index * chunk, chunk));
await writer.flushAligned();
const status = await Deno.readTextFile("/proc/self/status");
const pinned = Number(/^VmPin:\s*(\d+)/m.exec(status)?.[1]);
await writer.close();
const wrong = await firstWrongInFile(path, chunks * chunk);
console.log(JSON.stringify({ info: engineInfo(), pinned, wrong }));
