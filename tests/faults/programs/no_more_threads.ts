// Writes and reads files when the system starts no further thread for this account (RLIMIT_NPROC), neither for Deno nor for
// io_uring. FILE, beside which it writes
import { DmaFile, DmaStreamWriter, engineInfo, ioStats } from "../../../mod.ts";
import { descriptorsIn } from "../../support/descriptors.ts";
import { content, firstWrong } from "../content.ts";

const [path = ""] = Deno.args;
const folder = path.slice(0, path.lastIndexOf("/"));
const LENGTH = 300_000;

async function write(index: number): Promise<void> {
  const writer = new DmaStreamWriter(await DmaFile.create(`${folder}/${index}`));
  await writer.write(content(0, LENGTH, index));
  await writer.close();
}

async function read(index: number): Promise<void> {
  await using file = await DmaFile.open(`${folder}/${index}`);
  const wrong = firstWrong(await file.readAt(0, LENGTH), LENGTH, index);
  if (wrong >= 0) throw new Error(`Byte ${wrong} of ${index} is wrong`);
}

await write(0);
const limit = new Deno.Command("prlimit", { args: ["--pid", String(Deno.pid), "--nproc=1:1"] });
if ((await limit.output()).code !== 0) throw new Error("There is no limit");
const twenty = Array.from({ length: 20 }, (_, index) => index);
for (let round = 0; round < 3; round++) {
  await Promise.all(twenty.map(write));
  await Promise.all(twenty.map(read));
}
const { engine } = engineInfo();
console.log(JSON.stringify({ engine, open: descriptorsIn(folder), inFlight: ioStats().inFlight }));
