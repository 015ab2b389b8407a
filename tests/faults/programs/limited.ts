// Writes until that fails, and prints what came of it. FOLDER LENGTH
import { type DmaError, DmaFile, DmaStreamWriter, ioStats } from "../../../mod.ts";
import { content } from "../content.ts";

const [folder = "", length = "0"] = Deno.args;
const writer = new DmaStreamWriter(await DmaFile.create(`${folder}/file`), {
  bufferSize: 64 * 1024,
});
let error: Partial<DmaError> | undefined;
let sticky = true;
try {
  for (let at = 0; at < Number(length); at += 30_000) {
    await writer.write(content(at, Math.min(30_000, Number(length) - at)));
  }
  await writer.close();
} catch (reason) {
  const { code, op, path, message } = reason as DmaError;
  error = { code, op, path, message };
  for (
    const call of [() => writer.write(new Uint8Array(1)), () => writer.sync(), () => writer.close()]
  ) {
    sticky &&= await call().then(() => false, (again) => again === reason);
  }
}
// The limit is that of files, not of the disk: a smaller one goes well.
const small = await DmaFile.create(`${folder}/small`);
await small.writable.write(content(0, 1000));
await small.writable.close();
const { inFlight, poolBuffers, bytesWritten } = ioStats();
console.log(JSON.stringify({
  error,
  sticky,
  flushed: writer.currentFlushedPos,
  inFlight,
  poolBuffers,
  bytesWritten,
}));
