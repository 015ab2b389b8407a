// Says how many descriptors it has, waits for a line, and then opens files until there are no more. FOLDER
import { DmaFile, engineInfo } from "../../../mod.ts";

const [folder = ""] = Deno.args;
// What importing and reading take is taken before the limit comes.
const line = new Uint8Array(16);
console.log(`ready ${[...Deno.readDirSync("/proc/self/fd")].length}`);
await Deno.stdin.read(line);

/** Opens files until that fails, and closes them again. */
async function openAll(): Promise<{ opened: number; failure: unknown }> {
  const files: DmaFile[] = [];
  let failure: unknown;
  try {
    while (files.length < 200) files.push(await DmaFile.create(`${folder}/${files.length}`));
  } catch (error) {
    failure = error;
  }
  for (const file of files) await file.close();
  return { opened: files.length, failure };
}

const { opened, failure } = await openAll();
// All is given back: what was possible is possible again.
const { opened: again } = await openAll();
const { name, message, code, op, path } = failure as Error & Record<string, unknown>;
console.log(JSON.stringify({
  opened,
  again,
  failure: failure && { name, message, code, op, path },
  engine: engineInfo().engine,
  reason: engineInfo().reason,
}));
