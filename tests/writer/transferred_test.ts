// Writers that are transferred to a Worker: the Standard's transfer tells the Worker nothing of the disk, so the owner waits.

import "../support/engine.ts";
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { assertFile, assertNoFile, pattern } from "../support/bytes.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { fail, hold } from "../support/interpose.ts";
import { assertClosed } from "./create.ts";

const program = `self.onmessage = async ({ data: { stream, chunks, end } }) => {
  const writer = stream.getWriter();
  try {
    for (const chunk of chunks) await writer.write(chunk);
    await writer[end](end === "abort" ? "given up" : undefined);
    self.postMessage("ended");
  } catch (error) {
    self.postMessage(String(error));
  }
};`;

/** Has a Worker write `bytes` to the stream and end it. Resolves when the Worker says so. */
async function writeInWorker(
  stream: DmaStreamWriter,
  bytes: Uint8Array,
  end: string,
): Promise<unknown> {
  const url = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  try {
    const chunks = [bytes.slice(0, 1000), bytes.slice(1000)];
    worker.postMessage({ stream, chunks, end }, [stream as unknown as Transferable]);
    const { data } = await new Promise<MessageEvent>((resolve) => worker.onmessage = resolve);
    return data;
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
}

async function create(dir: TestDirectory): Promise<DmaStreamWriter> {
  return new DmaStreamWriter(await DmaFile.create(dir.file("file"), { atomic: true }), {
    bufferSize: 65_536,
  });
}

testDirectAndCached("The owner of a transferred writer waits for its end", async (dir) => {
  const writer = await create(dir);
  using syncs = hold("sync");
  let over = false;
  const closed = writer.closed.then(() => over = true);
  assertEquals(await writeInWorker(writer, pattern(500_000), "close"), "ended");
  await syncs.reach();
  assertEquals(over, false);
  syncs.letGo();
  await closed;
  await assertClosed(writer, pattern(500_000));
  await writer.closed;
});

testDirectAndCached("The owner of a transferred writer learns of its failure", async (dir) => {
  const writer = await create(dir);
  using _ = fail("write", Errno.ENOSPC);
  const working = writeInWorker(writer, pattern(500_000), "close");
  await assertRejects(() => writer.closed, Error, "No space left");
  await working;
  await assertNoFile(dir.file("file"));
});

testDirectAndCached("The owner of a transferred writer learns of an abort", async (dir) => {
  const writer = await create(dir);
  const working = writeInWorker(writer, pattern(100_000), "abort");
  assertStrictEquals(await writer.closed.catch((reason) => reason), "given up");
  await working;
  await assertNoFile(dir.file("file"));
});

testDirectAndCached("closed reports every kind of end", async (dir) => {
  const whole = await create(dir);
  await Promise.all([whole.write(pattern(10)), whole.close(), whole.closed]);
  await assertFile(dir.file("file"), pattern(10));
  const piped = await create(dir);
  await Promise.all([ReadableStream.from([pattern(20)]).pipeTo(piped), piped.closed]);
  await assertFile(dir.file("file"), pattern(20));
});
