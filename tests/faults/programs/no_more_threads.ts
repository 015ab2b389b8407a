// Writes and reads files when the system starts no further thread for this account (RLIMIT_NPROC), neither for Deno nor for
// io_uring. FOLDER
import { DmaFile, DmaStreamWriter, engineInfo, ioStats } from "../../../mod.ts";
import { content, firstWrong } from "../content.ts";

const [folder = ""] = Deno.args;
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
const open = [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith(`${folder}/`);
  } catch {
    return false;
  }
});
console.log(JSON.stringify({
  engine: engineInfo().engine,
  open: open.length,
  inFlight: ioStats().inFlight,
}));
