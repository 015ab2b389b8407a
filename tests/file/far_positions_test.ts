// Positions and lengths beyond 2^32 in every call, in sparse files: none is cut to 32 bits, and no byte there changes.

import { assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { allOf, filled, joined, openWith, pattern } from "../support/bytes.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { alter } from "../support/engine.ts";

/** Only the first one exceeds a signed 32-bit number. All end in the same 32 bits. */
const LOW = 65_536;
const far = [2 ** 31, 2 ** 32, 2 ** 33, 2 ** 40, 2 ** 43].map((base) => base + LOW);
/** The bytes at the position truncated to 32 bits. */
const near = filled(LOW * 2, 7);
const zeros = (length: number) => new Uint8Array(length);

/** Reads bytes without this module. */
async function got(path: string, position: number, length: number): Promise<Uint8Array> {
  using file = await Deno.open(path);
  await file.seek(position, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await file.read(bytes) ?? 0);
}

for (const at of far) {
  testInEachDirectory(`Every call takes the position ${at} for what it is`, async (dir, path) => {
    await using file = await openWith(path, near);
    const buffer = file.allocBuffer(4096);
    buffer.bytes.set(pattern(4096, 8192));
    await file.writeAt(pattern(8192), at);
    await file.writeAt(buffer, at + 8192);
    assertEquals(await got(path, at, 20_000), pattern(12_288));
    assertEquals(await file.readAt(at - 3, 10), joined(zeros(3), pattern(7)));
    assertEquals(await file.readAtAligned(at + 4096, 4096), pattern(4096, 4096));
    assertEquals(await file.readInto(buffer, at + 8192), 4096);
    const ranges = [at + 5, 5, at + 12_280].map((position) => ({ position, length: 100 }));
    const found = await Array.fromAsync(file.readMany(ranges), ({ bytes }) => bytes);
    assertEquals(found, [pattern(100, 5), near.subarray(0, 100), pattern(8, 12_280)]);
    await file.deallocate(at + 4096, 4096);
    await file.truncate(at + 12_289);
    await file.truncate(at + 10_000);
    const content = joined(pattern(4096), zeros(4096), pattern(1808, 8192));
    assertEquals([await file.size(), await got(path, at, 20_000)], [at + 10_000, content]);

    // Streams.
    const options = { bufferSize: 8192, closeFile: false };
    const writer = new DmaStreamWriter(file, { append: true, ...options });
    await writer.write(pattern(90_000));
    await writer.close();
    const whole = joined(content, pattern(90_000));
    assertEquals([writer.currentFlushedPos, await file.size()], [at + 100_000, at + 100_000]);
    const read = (range: object) => new DmaStreamReader(file, { ...options, ...range });
    const part = read({ start: at - 5, end: at + 50_000 });
    assertEquals(await allOf(part), joined(zeros(5), whole.subarray(0, 50_000)));
    const skipping = read({ start: 100 });
    skipping.skip(at - 100 + 4097);
    assertEquals(skipping.currentPos, at + 4097);
    assertEquals(await allOf(skipping), whole.subarray(4097));
    // Whole buffers are piped from file to file without a copy.
    await using target = await DmaFile.create(dir.file("target"));
    const piped = new DmaStreamWriter(target, { position: at, closeFile: false });
    await read({ start: at }).pipeTo(piped);
    assertEquals(await got(target.path, at, 200_000), whole);

    assertEquals(await file.copyRangeTo(target, at + 3, 9000, 4096), 9000);
    assertEquals(await file.copyRangeTo(target, at, 200_000, at + 2 * LOW), 100_000);
    assertEquals(await got(target.path, 4096, 9000), whole.subarray(3, 9003));
    assertEquals(await got(target.path, at + 2 * LOW, 200_000), whole);
    assertEquals(await got(path, 0, near.length), near, "the beginning");
    // A far length.
    await file.deallocate(LOW, at);
    assertEquals(await file.readAt(at, 200_000), joined(zeros(LOW), whole.subarray(LOW)));
  });
}

testInEachDirectory("A position beyond the longest possible file is too large", async (dir) => {
  await using file = await DmaFile.create(dir.file("far"));
  const position = 2 ** 52;
  const codeOf = (work: Promise<unknown>) => work.then(() => "", (error) => error.code);
  const writeFrom = async (position: number) => {
    const writer = new DmaStreamWriter(file, { position, closeFile: false });
    await writer.write(pattern(10_000));
    return await codeOf(writer.close());
  };
  const { direct } = file;
  assertEquals([await writeFrom(2 ** 53 - 100), file.direct], ["EFBIG", direct]);
  const code = await codeOf(file.writeAt(pattern(4096), position));
  // Some file systems have such files.
  if (code === "") {
    assertEquals(await file.readAt(position + 1, 5000), pattern(4095, 1));
    // Reserved space would make the length an unsafe integer.
    const start = 2 ** 53 - 2 ** 20;
    const writer = new DmaStreamWriter(file, { position: start });
    await writer.write(pattern(10_000));
    await writer.flushAligned({ tail: true });
    assertEquals(file.alignUp(await file.size()), file.alignUp(start + 10_000));
    return await writer.close();
  }
  const codes = [code, await codeOf(file.truncate(position)), await writeFrom(position)];
  assertEquals([...codes, await file.size()], ["EFBIG", "EFBIG", "EFBIG", 0]);
});

testInEachDirectory("A length that no number holds exactly is refused", async (dir) => {
  await using file = await DmaFile.create(dir.file("file"));
  for (const size of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    // As from a server with a fault.
    using _ = alter("stat", ({ memory: { bytes } }) => {
      new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(40, size, true);
    });
    await assertRejects(() => file.size(), Error, `${size} bytes`);
  }
});
