// Says how many descriptors it has, waits for a line, and then opens files until there are no more. FOLDER
import { DmaFile, engineInfo } from "../../../mod.ts";

const [folder = ""] = Deno.args;
// What importing and reading take is taken before the limit comes.
const line = new Uint8Array(16);
console.log(`ready ${[...Deno.readDirSync("/proc/self/fd")].length}`);
await Deno.stdin.read(line);

const files: DmaFile[] = [];
let failure: unknown;
try {
  while (files.length < 200) files.push(await DmaFile.create(`${folder}/${files.length}`));
} catch (error) {
  failure = error;
}
for (const file of files) await file.close();
// All is given back: what was possible is possible again.
let again = 0;
for (; again < files.length; again++) {
  await using file = await DmaFile.create(`${folder}/again`);
  await file.writable.write(new Uint8Array(5000));
  await file.writable.close();
}
const { name, message, code, op, path } = failure as Error & Record<string, unknown>;
console.log(JSON.stringify({
  opened: files.length,
  again,
  failure: failure && { name, message, code, op, path },
  engine: engineInfo().engine,
  reason: engineInfo().reason,
}));
