// Random programs of writers, readers and files against a plain array of bytes, on real files.
//
// DMA_PROPERTY_RUNS says how many programs each test runs, and DMA_PROPERTY_SEED which ones: a failure names the seed.

import fc from "fast-check";
import { testDirectories, testInEachDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { program } from "./property/operations.ts";
import { Subject } from "./property/subject.ts";

/** Programs in all, unless told otherwise: more take their time, on a file system on a file. */
const total = 1600;
const numRuns = Number(
  Deno.env.get("DMA_PROPERTY_RUNS") || Math.ceil(total / 2 / testDirectories.length),
);
const seed = Number(Deno.env.get("DMA_PROPERTY_SEED") || Math.floor(Math.random() * 2 ** 31));

for (const direct of ["prefer", "off"] as const) {
  testInEachDirectory(`Random programs leave the right bytes, direct: "${direct}"`, async (dir) => {
    let count = 0;
    const property = fc.asyncProperty(program, async (operations) => {
      const path = dir.file(`${count++}`);
      await new Subject(path, direct).run(operations);
      await Deno.remove(path).catch(() => {});
    });
    const result = await fc.check(property, { numRuns, seed });
    if (!result.failed) return;
    const report = fc.defaultReportMessage(result);
    const cause = result.errorInstance;
    throw new Error(`Rerun with DMA_PROPERTY_SEED=${seed}\n${report}\n${cause}`, { cause });
  });
}
