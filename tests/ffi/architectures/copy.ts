// Copies a file by every function of the public interface that uses the shim, and checks the results. A Deno for another
// processor runs it. SOURCE TARGET

import { DmaFile, DmaStreamReader, DmaStreamWriter, engineInfo } from "../../../mod.ts";
import { assertEquals, assertRejects } from "../../support/std_assert.ts";

const [source = "", target = ""] = Deno.args;

const writer = new DmaStreamWriter(await DmaFile.create(target), { bufferSize: 65_536 });
await new DmaStreamReader(await DmaFile.open(source), { bufferSize: 65_536 }).pipeTo(writer);

await using input = await DmaFile.open(source);
const output = await DmaFile.create(`${target}.atomic`, { atomic: true });
const size = await input.size();
const buffer = output.allocBuffer(size);
buffer.bytes.set(await input.readAt(0, size));
await output.writeAt(buffer, 0);
await output.truncate(size);
await output.sync();
await output.close();

// Everything else, past what 32 bits count.
const FAR = 5 * 1024 ** 3;
await using far = await DmaFile.create(`${target}.far`, { mode: 0o640 });
await using again = await DmaFile.open(far.path, { write: true });
await far.lock(true);
assertEquals([await again.tryLock(true), await far.unlock()], [false, undefined]);
assertEquals(await again.tryLock(true), true);
const block = far.allocBuffer(4096);
block.bytes.fill(7);
await far.writeAt(block, FAR);
await using copy = await DmaFile.temp();
assertEquals(await far.copyRangeTo(copy, FAR + 1, 8192, 3), 4095);
const sevens = async (file: DmaFile, position: number) =>
  (await file.readAt(position, 8192)).filter((byte) => byte === 7).length;
assertEquals([await sevens(far, FAR), await sevens(copy, 0)], [4096, 4095]);
await far.deallocate(FAR, 4000);
await far.syncData();
await copy.preallocate(12_288);
assertEquals([await sevens(again, FAR), await copy.size()], [96, 12_288]);
await far.truncate(FAR + 5);
await far.rename(`${target}.moved`);
const moved = await Deno.stat(`${target}.moved`);
assertEquals([moved.size, moved.mode! & 0o777], [FAR + 5, 0o640]);
assertEquals((await input.stat()).mtime, (await Deno.stat(source)).mtime);
await far.remove();
await assertRejects(() => DmaFile.open(`${target}.moved`), Deno.errors.NotFound, "os error 2");

const { engine, kernel } = engineInfo();
assertEquals(kernel, Deno.osRelease());
console.log(`copied on ${Deno.build.arch} by ${engine}, direct: ${input.direct}`);
