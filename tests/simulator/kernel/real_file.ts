// The oracle's view of a file of the real kernel, by a separate descriptor and through the page cache.

import { Buffer } from "node:buffer";
import type { FileView } from "./flight.ts";
import type { SparseBytes } from "./sparse_bytes.ts";

/** Files are read in parts of this size. */
const PART = 1 << 20;

/** A regular file, which stays the same if its name changes. */
export class RealFile implements FileView {
  readonly inode: number;
  readonly #file: Deno.FsFile;

  /** `path` may lead to a descriptor in /proc. */
  constructor(path: string) {
    this.#file = Deno.openSync(path);
    this.inode = this.#file.statSync().ino!;
  }

  get size(): number {
    return this.#file.statSync().size;
  }

  read(position: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - position)));
    this.#file.seekSync(position, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += this.#file.readSync(bytes.subarray(at)) ?? Infinity;
    return bytes;
  }

  *#parts(from: number, to: number): Generator<[number, Uint8Array]> {
    const end = Math.min(to, this.size);
    for (let at = from; at < end; at += PART) {
      yield [at, this.read(at, Math.min(PART, end - at))];
    }
  }

  copyTo(bytes: SparseBytes, from: number, to: number): void {
    bytes.zero(from, to);
    for (const [at, part] of this.#parts(from, to)) bytes.write(at, part);
  }

  firstDifference(expected: SparseBytes, from: number, to: number): number {
    for (const [at, part] of this.#parts(from, to)) {
      const right = expected.slice(at, at + part.length);
      if (Buffer.compare(part, right) === 0) continue;
      return at + part.findIndex((byte, index) => byte !== right[index]);
    }
    return -1;
  }

  close(): void {
    this.#file.close();
  }
}
