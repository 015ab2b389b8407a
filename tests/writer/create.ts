// The writer that most tests of writers begin with.

import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../mod.ts";
import type { TestDirectory } from "../support/dirs.ts";

/** A writer on a new file. */
export async function create(
  dir: TestDirectory,
  options?: DmaStreamWriterOptions,
  name = "file",
): Promise<DmaStreamWriter> {
  return new DmaStreamWriter(await DmaFile.create(dir.file(name)), options);
}
