// The files of programs: bytes for them, and the ones at the beginning.

import type { DirectoryTree } from "./kernel/directory_tree.ts";
import { Random } from "./random.ts";

const TABLE = 1 << 21;

const table = new Uint8Array(TABLE);
const random = new Random(1);
for (let at = 0; at < TABLE; at++) table[at] = 1 + random.below(255);

/** Bytes for files and chunks: never zero, to distinguish them from padding, and different for each seed. */
export function bytesOf(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const start = Math.imul(seed, 2_654_435_761) >>> 12;
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += TABLE - start) {
    bytes.set(table.subarray(start, start + length - at), at);
  }
  return bytes;
}

/** The directory of all files, and the directories in it. */
export const ROOT = "/disk";
export const DIRECTORIES: readonly string[] = ["a", "b"];

/** Puts durable files into a tree. */
export function populate(tree: DirectoryTree, random: Random): void {
  const disk = tree.workingDirectory = tree.makeDirectory(tree.root, ROOT.slice(1));
  for (const name of DIRECTORIES) {
    const directory = tree.makeDirectory(disk, name);
    for (const name of ["one", "two"]) {
      if (!random.chance(0.5)) continue;
      const length = random.pick([0, 5, 512, 4096, 5000, random.below(20_000)]);
      tree.place(directory, name, tree.makeFile(bytesOf(random.seed(), length)));
    }
  }
}
