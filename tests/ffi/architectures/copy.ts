// Copies a file by every function of the public interface that uses the shim, and prints the facts. A Deno for another
// processor runs it.

import { DmaFile, DmaStreamReader, DmaStreamWriter, engineInfo } from "../../../mod.ts";

const [source = "", target = "", atomic = ""] = Deno.args;

const writer = new DmaStreamWriter(await DmaFile.create(target), { bufferSize: 65_536 });
await new DmaStreamReader(await DmaFile.open(source), { bufferSize: 65_536 }).pipeTo(writer);

await using input = await DmaFile.open(source);
await using output = await DmaFile.create(atomic, { atomic: true });
const size = await input.size();
const buffer = output.allocBuffer(size);
buffer.bytes.set(await input.readAt(0, size));
await output.writeAt(buffer, 0);
await output.truncate(size);
await output.sync();

await using lock = await DmaFile.temp();
await lock.lock(true);
const missing = await DmaFile.open(`${target}.missing`).catch((error) => error);

console.log(JSON.stringify({
  architecture: Deno.build.arch,
  engine: engineInfo().engine,
  direct: input.direct,
  kernel: engineInfo().kernel,
  size,
  modified: (await input.stat()).mtime?.getTime(),
  missing: [missing instanceof Deno.errors.NotFound, missing.code, missing.errno],
}));
