// Tests a directory for known defects of file systems, mostly of those that a program or another machine serves.
import { DmaFile } from "../mod.ts";
import { describe } from "./output.ts";

/** A promise that does not hold on a directory, and the remedy. */
export interface BrokenPromise {
  what: string;
  remedy: string;
}

const LENGTH = 5000;
/** Servers cache attributes for up to a second, so that some defects show only later. */
const A_SECOND_LATER_MS = 1100;

const OTHER_SERVER = "another directory: the fault is in the file system or its server";

/** The content of a test file. Each byte depends on its position. */
export function content(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => 1 + index % 251);
}

/** Whether these are the bytes of {@linkcode content} from `start` to its end at `length`. */
export function isContent(bytes: Uint8Array, length: number, start = 0): boolean {
  const expected = content(length).subarray(start);
  return bytes.length === expected.length && bytes.every((byte, at) => byte === expected[at]);
}

async function write(name: string, atomic: boolean): Promise<void> {
  const file = await DmaFile.create(name, { atomic });
  await file.writable.write(content(LENGTH));
  await file.writable.close();
}

/** The checks: the text and the remedy of a failure, and the test. With `patient` a test waits for late defects. */
const checks: readonly {
  readonly what: string;
  readonly remedy: string;
  readonly holds: (name: string, patient: boolean) => Promise<boolean>;
}[] = [
  {
    what: "A file of 5,000 bytes is not 5,000 bytes when it is read by another descriptor",
    remedy: OTHER_SERVER,
    holds: async (name) => {
      await write(name, false);
      return isContent(await Deno.readFile(name), LENGTH);
    },
  },
  {
    what: "A read past the end of a file returns bytes that the file does not have",
    remedy: OTHER_SERVER,
    holds: async (name) => {
      await write(name, false);
      await using file = await DmaFile.open(name);
      const last = await file.readAt(LENGTH - 1000, 65_536);
      const none = await file.readAt(LENGTH, 65_536);
      return isContent(last, LENGTH, LENGTH - 1000) && none.length === 0;
    },
  },
  {
    what: "An atomic file has disappeared a second after it was closed",
    remedy: "write without atomic (dma: without --atomic), under another name, and rename it",
    holds: async (name, patient) => {
      await write(name, true);
      if (patient) await new Promise((resolve) => setTimeout(resolve, A_SECOND_LATER_MS));
      return isContent(await Deno.readFile(name).catch(() => new Uint8Array()), LENGTH);
    },
  },
];

/**
 * Runs all checks with temporary files beside `name`. Resolves to the promises that do not hold. With `patient` it waits
 * for defects that show only later.
 */
export async function brokenPromises(name: string, patient: boolean): Promise<BrokenPromise[]> {
  const broken: BrokenPromise[] = [];
  for (const [index, { what, remedy, holds }] of checks.entries()) {
    const own = `${name}-${index}`;
    try {
      if (!await holds(own, patient)) broken.push({ what, remedy });
    } catch (error) {
      broken.push({ what: `${what}: ${describe(error)}`, remedy });
    } finally {
      await Deno.remove(own).catch(() => {});
    }
  }
  return broken;
}
