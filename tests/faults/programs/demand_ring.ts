// Requests io_uring repeatedly, and prints the results. FILE
import { configure, DmaFile } from "../../../mod.ts";

const [path = ""] = Deno.args;
configure({ engine: "io_uring" });

/** The mapped ranges of memory. The number of V8's own ranges varies. */
async function mappings(): Promise<number> {
  return (await Deno.readTextFile("/proc/self/maps")).split("\n").length;
}

async function demand(): Promise<string> {
  return await DmaFile.create(path).then((file) => file.close().then(() => ""), String);
}

const error = await demand();
const before = await mappings();
for (let round = 0; round < 200; round++) await demand();
const mapped = await mappings() - before;
const exists = await Deno.stat(path).then(() => true, () => false);
console.log(JSON.stringify({ error, exists, mapped }));
