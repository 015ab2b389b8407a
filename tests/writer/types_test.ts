// The types of the streams. `deno task check` is what fails here: at run time only the bytes are compared.

import "../support/engine.ts";
import { assertEquals } from "@std/assert";
import { DmaFile, type DmaStreamReader, type DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { testInOneDirectory } from "../support/dirs.ts";

// @ts-expect-error Text is no bytes.
export const asTextWriter = (writer: DmaStreamWriter): WritableStream<string> => writer;
// @ts-expect-error A reader gives bytes.
export const asTextReader = (reader: DmaStreamReader): ReadableStream<string> => reader;

testInOneDirectory("A stream of Uint8Array pipes into a writer without a cast", async (dir) => {
  const stream: ReadableStream<Uint8Array> = ReadableStream.from([pattern(10_000)]);
  const writer: DmaStreamWriter = (await DmaFile.create(dir.file("piped"))).writable;
  await stream.pipeTo(writer);
  await assertFile(dir.file("piped"), pattern(10_000));
});

testInOneDirectory(
  "A writer is a WritableStream of BufferSource and of Uint8Array",
  async (dir) => {
    const sources: WritableStream<BufferSource> = (await DmaFile.create(dir.file("one"))).writable;
    const arrays: WritableStream<Uint8Array> = (await DmaFile.create(dir.file("two"))).writable;
    await new Blob(["one"]).stream().pipeTo(sources);
    await new Blob(["two"]).stream().pipeTo(arrays);
  },
);

testInOneDirectory("A reader is a ReadableStream of Uint8Array, and a body", async (dir) => {
  await Deno.writeFile(dir.file("file"), pattern(10_000));
  const reader: DmaStreamReader = (await DmaFile.open(dir.file("file"))).readable;
  const stream: ReadableStream<Uint8Array> = reader;
  assertEquals(await new Response(stream).bytes(), pattern(10_000));
});
