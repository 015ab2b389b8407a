// The set-up of most tests of readers.

import { type DmaFile, DmaStreamReader, type DmaStreamReaderOptions } from "../../mod.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { openPattern } from "../support/patterned.ts";

/** Makes a reader of the test's file, which the reader leaves open. */
export type Read = (options?: DmaStreamReaderOptions) => DmaStreamReader;

/** Registers a test of readers of a file of so many bytes, once with Direct I/O and once without it. */
export function testReaders(
  name: string,
  size: number,
  fn: (read: Read, file: DmaFile) => Promise<void>,
): void {
  testDirectAndCached(name, async (dir) => {
    await using file = await openPattern(dir.file("file"), size);
    const read: Read = (options) => new DmaStreamReader(file, { closeFile: false, ...options });
    await fn(read, file);
  });
}

/** A reader that closes its file, with the pattern in it. */
export async function open(
  dir: TestDirectory,
  size: number,
  options?: DmaStreamReaderOptions,
): Promise<DmaStreamReader> {
  return new DmaStreamReader(await openPattern(dir.file("file"), size), options);
}

/** A view of `length` bytes whose memory suits Direct I/O. */
export function alignedView(file: DmaFile, length: number): Uint8Array<ArrayBuffer> {
  return file.allocBuffer(length).bytes as Uint8Array<ArrayBuffer>;
}
