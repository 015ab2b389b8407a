// What most tests of writers begin and end with.

import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import { assertFile, openWith } from "../support/bytes.ts";
import { descriptorsOf } from "../support/leaks.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";

/** Small buffers, two in flight. */
export const small: DmaStreamWriterOptions = { bufferSize: 4096, writeBehind: 2 };

/** One small buffer in flight: most of what is written has to wait. */
export const narrow: DmaStreamWriterOptions = { bufferSize: 4096, writeBehind: 1 };

export async function create(dir: TestDirectory, options?: DmaStreamWriterOptions, name = "file") {
  return new DmaStreamWriter(await DmaFile.create(dir.file(name)), options);
}

/** A writer on a file that has these bytes already. */
export async function createOver(path: string, old: Uint8Array, options?: DmaStreamWriterOptions) {
  return new DmaStreamWriter(await openWith(path, old), options);
}

/** Registers a test of a writer on a new file, once with Direct I/O and once without it. */
export function testWriter(
  name: string,
  options: DmaStreamWriterOptions,
  fn: (writer: DmaStreamWriter) => Promise<void>,
): void {
  testDirectAndCached(name, async (dir) => await fn(await create(dir, options)));
}

/** Throws unless the file has exactly these bytes, and no descriptor leads to it. */
export async function assertClosed(writer: DmaStreamWriter, expected: Uint8Array, msg?: string) {
  assertEquals(descriptorsOf(writer.file.path), 0, msg);
  await assertFile(writer.file.path, expected, msg);
}

/** Closes the writer, after which its file must have exactly these bytes. */
export async function closeWith(writer: DmaStreamWriter, expected: Uint8Array, msg?: string) {
  await writer.close();
  await assertFile(writer.file.path, expected, msg);
}
