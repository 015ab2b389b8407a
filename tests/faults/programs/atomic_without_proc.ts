// Replaces a file by an atomic one without /proc, and prints the names that existed meanwhile.
// FILE [refused: the kernel does not link by a descriptor either]
import { DmaFile, DmaStreamWriter } from "../../../mod.ts";
import { interpose } from "../../support/interpose.ts";
import { content } from "../content.ts";

const [path = "", refused] = Deno.args;
const directory = path.slice(0, path.lastIndexOf("/"));
const namesNow = () => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();

using _ = interpose("link", ({ operation, pass, end }) => {
  if (refused && !operation.byProc) return end(-2);
  pass();
});
const writer = new DmaStreamWriter(await DmaFile.create(path, { atomic: true }));
await writer.write(content(0, 100_000));
const names = namesNow();
await writer.close();
const proc = await Deno.stat("/proc/self").then(() => true, () => false);
console.log(JSON.stringify({ proc, names, after: namesNow() }));
