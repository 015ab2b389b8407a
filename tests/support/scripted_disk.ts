// The disk under a scripted engine: files as byte arrays.

/** A file of a scripted engine. */
export class ScriptedFile {
  #bytes: Uint8Array<ArrayBuffer>;
  #size: number;

  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.#bytes = content.slice();
    this.#size = content.length;
  }

  get size(): number {
    return this.#size;
  }

  /** A copy of the current content. */
  content(from = 0, to: number = this.#size): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(from, Math.min(to, this.#size));
  }

  /** As `pwrite`. */
  write(position: number, bytes: Uint8Array): void {
    this.grow(position + bytes.length);
    this.#bytes.set(bytes, position);
  }

  /** As `pread`: returns the number of bytes. */
  read(position: number, into: Uint8Array): number {
    const bytes = this.content(position, position + into.length);
    into.set(bytes);
    return bytes.length;
  }

  /** As `fallocate` without FALLOC_FL_KEEP_SIZE: the new bytes are zeros. */
  grow(size: number): void {
    if (size <= this.#size) return;
    if (size > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(size, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = larger;
    }
    this.#bytes.fill(0, this.#size, size);
    this.#size = size;
  }

  /** As `ftruncate`. */
  truncate(size: number): void {
    this.grow(size);
    this.#size = size;
  }
}

/** Writes the fields of a `struct statx` that the module reads (include/uapi/linux/stat.h). */
export function writeStat(
  into: Uint8Array,
  { size, inode, alignment }: { size: number; inode: number; alignment: number },
): void {
  const STATX_BASIC_STATS = 0x7ff;
  const STATX_DIOALIGN = 0x2000;
  const view = new DataView(into.buffer, into.byteOffset, 256);
  into.fill(0, 0, 256);
  view.setUint32(0, STATX_BASIC_STATS | STATX_DIOALIGN, true);
  view.setUint32(4, 4096, true);
  view.setUint32(16, 1, true);
  view.setUint16(28, 0o100644, true);
  view.setBigUint64(32, BigInt(inode), true);
  view.setBigUint64(40, BigInt(size), true);
  view.setBigUint64(48, BigInt(Math.ceil(size / 512)), true);
  view.setUint32(152, alignment, true);
  view.setUint32(156, alignment, true);
}
