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

// Everything else, past what 32 bits count.
const FAR = 5 * 1024 ** 3;
await using far = await DmaFile.create(`${target}.far`, { mode: 0o640 });
await using again = await DmaFile.open(far.path, { write: true });
await far.lock(true);
const locked = [await again.tryLock(true), await far.unlock(), await again.tryLock(true)];
const block = far.allocBuffer(4096);
block.bytes.fill(7);
await far.writeAt(block, FAR);
await using copy = await DmaFile.temp();
const copied = await far.copyRangeTo(copy, FAR + 1, 8192, 3);
const sevens = (bytes: Uint8Array) => bytes.filter((byte) => byte === 7).length;
const before = sevens(await far.readAt(FAR, 8192));
await far.deallocate(FAR, 4000);
await far.syncData();
await copy.preallocate(12_288);
await far.truncate(FAR + 4096);
await far.rename(`${target}.moved`);
const moved = await Deno.stat(`${target}.moved`);
const after = sevens(await again.readAt(FAR, 8192));
await far.remove();

const missing = await DmaFile.open(`${target}.missing`).catch((error) => error);

console.log(JSON.stringify({
  architecture: Deno.build.arch,
  engine: engineInfo().engine,
  direct: input.direct,
  kernel: engineInfo().kernel,
  size,
  modified: (await input.stat()).mtime?.getTime(),
  locked,
  copied: [copied, sevens(await copy.readAt(0, 8192))],
  far: [before, after, moved.size - FAR, (moved.mode! & 0o777).toString(8)],
  preallocated: (await copy.stat()).size,
  removed: await Deno.stat(`${target}.moved`).then(() => false, () => true),
  missing: [missing instanceof Deno.errors.NotFound, missing.code, missing.errno],
}));
