// The public classes. They share a file because their types refer to each other: DmaFile.writable is a DmaStreamWriter,
// whose file is a DmaFile. They check arguments; src/file, src/writer and src/reader do the work.

import { alignDown, alignUp } from "./align.ts";
import { checkRange, flag, integer, isSet, pathText, wrongObject } from "./arguments.ts";
import { useEngine } from "./configure.ts";
import { pipeDirectly, readPipeOptions } from "./direct_pipe.ts";
import { allocateBuffer, demandBuffer, type DmaBuffer, takeMemory } from "./dma_buffer.ts";
import { MAX_TRANSFER } from "./engine/linux.ts";
import { openAtomic } from "./file/atomic.ts";
import { copyRange } from "./file/copy_range.ts";
import { closedError } from "./file/descriptor.ts";
import { lock, tryLock, unlock } from "./file/lock.ts";
import { OpenFile } from "./file/open_file.ts";
import { openPath } from "./file/open.ts";
import { cutAfterEnd, finishAtEnd, forgetFailure } from "./file/program_end.ts";
import { readInto, writeAt } from "./file/random_access.ts";
import { type ByteRange, type RangeRead, readMany } from "./file/read_many.ts";
import { readBytes } from "./file/shared_reads.ts";
import { freeSpace, reserveSpace, truncateTo } from "./file/space.ts";
import { fileInfo, isSame, stat } from "./file/stat.ts";
import {
  createRequest,
  type DmaCreateOptions,
  type DmaLockOptions,
  type DmaOpenOptions,
  type DmaPreallocateOptions,
  type DmaTempOptions,
  type DmaWriteAtOptions,
  mergeLimits,
  openRequest,
  type ReadManyOptions,
  signalOf,
  temporaryDirectory,
} from "./file_options.ts";
import { ReaderSource } from "./reader/source.ts";
import {
  type DmaFlushSyncOptions,
  type DmaStreamReaderOptions,
  type DmaStreamWriterOptions,
  type DmaSyncOptions,
  readerOptions,
  writerOptions,
} from "./stream_options.ts";
import { WriterLock } from "./writer/lock.ts";
import { WriterSink } from "./writer/sink.ts";
import { Writer } from "./writer/writer.ts";

type Inspect = typeof Deno.inspect;

/** The open file of a DmaFile; undefined for any other value. DmaFile sets it, which alone can read its private field. */
let fileOf: (value: unknown) => OpenFile | undefined;

/** Keeps the DmaFile of each running `readMany` alive: the garbage collector would otherwise close it. */
const readFiles = new WeakMap<AsyncIterable<RangeRead>, DmaFile>();

/** Ends what a program drops without closing it. */
const dropped = new FinalizationRegistry<() => void>((end) => end());

/** Calls `end`, which must not refer to `object`, if `object` is collected before `ended` settles. */
function whenDropped(object: WeakKey, ended: Promise<void>, end: () => void): void {
  dropped.register(object, end, end);
  // At once: otherwise the object graph survives minor collections.
  const unregister = () => void dropped.unregister(end);
  ended.then(unregister, unregister);
}

/** The file's descriptor, valid while it is open. The command line needs it for operations that DmaFile lacks. */
export function descriptorNumber(file: DmaFile): number {
  return fileOf(file)!.fd;
}

/** The open file of a DmaFile. Throws TypeError for any other value; the message uses `name` and `what`. */
function openFileOf(name: string, value: unknown, what: string): OpenFile {
  const file = fileOf(value);
  if (file) return file;
  throw wrongObject(name, value, "DmaFile", what);
}

/**
 * An open file, read and written at any position. It bypasses the page cache if the file system has Direct I/O. Get one
 * from {@linkcode DmaFile.open}, {@linkcode DmaFile.create} or {@linkcode DmaFile.temp}.
 *
 * Positions and lengths are in bytes. Errors of the system are {@linkcode DmaError}s: `Deno.errors.BadResource` if the
 * file is closed or was not opened for the operation. A wrong argument is a `TypeError` or `RangeError`.
 *
 * @example Write a block and read a part of it
 * ```ts
 * import { DmaFile } from "@denodma/dma";
 *
 * await using file = await DmaFile.create("blocks.bin");
 * const buffer = file.allocBuffer(4096);
 * buffer.bytes.fill(7);
 * await file.writeAt(buffer, 0);
 * console.log(await file.readAt(4000, 200)); // 96 sevens
 * ```
 */
export class DmaFile implements AsyncDisposable {
  /** `structuredClone` and `postMessage` cannot clone a symbol. Their error names it. */
  private readonly cloning: symbol = Symbol(
    "A DmaFile belongs to its isolate: open the file again in the other one",
  );
  readonly #file: OpenFile;
  static {
    fileOf = (value) => #file in Object(value) ? (value as DmaFile).#file : undefined;
  }
  #reader: DmaStreamReader | undefined;
  #writer: DmaStreamWriter | undefined;

  /** @ignore */
  private constructor(file: OpenFile) {
    // A program cannot have an OpenFile.
    if (!(file instanceof OpenFile)) {
      throw new TypeError(
        "Cannot construct a DmaFile: use DmaFile.open, DmaFile.create or DmaFile.temp",
      );
    }
    this.#file = file;
    if (file.writable) finishAtEnd(file);
    whenDropped(this, file.descriptor.closed, () => file.drop());
  }

  /**
   * Opens a regular file, by default for reading only. A relative path starts at the working directory of the call.
   *
   * @param path the path, or a `file:` URL
   * @param options access, creation, and the use of Direct I/O
   * @throws {Deno.errors.NotCapable} Deno's permissions do not cover the path, or its real path
   * @throws {Deno.errors.NotSupported} it is not a regular file, or it lacks the Direct I/O that `direct` requires
   * @example Read the first bytes of a file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * await using file = await DmaFile.open("notes.txt");
   * console.log(new TextDecoder().decode(await file.readAt(0, 5))); // Hello
   * ```
   */
  static async open(path: string | URL, options?: DmaOpenOptions): Promise<DmaFile> {
    const text = pathText("path", path);
    const request = openRequest(options);
    return new DmaFile(await openPath(useEngine(), text, request));
  }

  /**
   * Creates a file, or empties an existing one, and opens it for reading and writing.
   *
   * @param path the path, or a `file:` URL
   * @param options access and mode; with `atomic` an existing file stays until the new one is complete
   * @throws what {@linkcode DmaFile.open} throws
   * @example Create a file that appears only when it is complete
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * const file = await DmaFile.create("report.csv", { atomic: true });
   * await new Blob(["name,bytes\n"]).stream().pipeTo(file.writable);
   * ```
   */
  static async create(path: string | URL, options?: DmaCreateOptions): Promise<DmaFile> {
    const text = pathText("path", path);
    const request = createRequest(options);
    const open = request.atomic ? openAtomic : openPath;
    return new DmaFile(await open(useEngine(), text, request));
  }

  /**
   * Creates a file without a name, for reading and writing. Closing it frees its space.
   *
   * @param options the directory, whose file system holds the data
   * @throws {Deno.errors.NotSupported} the file system has no files without a name (`O_TMPFILE`)
   * @example Keep data outside of memory for a while
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.temp({ dir: "." });
   * const buffer = file.allocBuffer(1 << 20);
   * buffer.bytes.fill(1);
   * await file.writeAt(buffer, 0);
   * console.log(await file.size()); // 1048576
   * ```
   */
  static async temp(options?: DmaTempOptions): Promise<DmaFile> {
    const directory = temporaryDirectory(options);
    const request = { ...openRequest({ write: true, mode: 0o600 }), unnamed: true };
    return new DmaFile(await openPath(useEngine(), directory, request));
  }

  /**
   * The path that was passed to `open`, `create` or the last `rename`; for `temp` the directory.
   *
   * @example Print the path
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("named.bin");
   * console.log(file.path); // named.bin
   * ```
   */
  get path(): string {
    return this.#file.path;
  }

  /**
   * Whether Direct I/O is used. False if the file system has none, `direct` is "off", or `append` is true. Becomes
   * false if the file system refuses the first read or write.
   *
   * @example See whether the page cache is used
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("direct.bin");
   * if (!file.direct) console.log("This file system has no Direct I/O");
   * ```
   */
  get direct(): boolean {
    return this.#file.direct;
  }

  /**
   * The engine that reads and writes this file. It is "threads" on FUSE and network file systems, because io_uring would
   * block the JavaScript thread while their server works.
   *
   * @example See whether a file is on a server
   * ```ts
   * import { DmaFile, engineInfo } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("served.bin");
   * const { engine } = engineInfo();
   * if (file.engine !== engine) console.log(`${file.engine} instead of ${engine}`);
   * ```
   */
  get engine(): "io_uring" | "threads" {
    const { engine, fileSystem } = this.#file;
    return fileSystem.isLocal ? engine.name : "threads";
  }

  /**
   * The alignment of Direct I/O on this file, in bytes. `memory` is that of addresses, as the kernel reports it
   * (`STATX_DIOALIGN`), and 4,096 if it does not. `offset` is that of positions and lengths: at least a block of the
   * file system, and a page of memory (4,096 bytes, or 16 or 64 KiB on some aarch64 kernels). Without Direct I/O both
   * are 4,096.
   *
   * @example Print the alignment
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("aligned.bin");
   * console.log(file.alignment); // { memory: 512, offset: 4096 } on many disks
   * ```
   */
  get alignment(): { readonly memory: number; readonly offset: number } {
    const { memoryAlignment, alignment } = this.#file;
    return { memory: memoryAlignment, offset: alignment };
  }

  /**
   * The smallest and the largest length of an atomic write, in bytes (`STATX_WRITE_ATOMIC`, kernel 6.13 and newer on
   * ext4 and xfs). Both are 0 if there are no atomic writes.
   *
   * @example Write a page that a power cut cannot tear
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("pages.bin");
   * const { max } = file.atomicWrite;
   * if (max > 0) {
   *   await file.writeAt(file.allocBuffer(max), 0, { atomic: true });
   * } else console.log("This disk has no atomic writes");
   * ```
   */
  get atomicWrite(): { readonly min: number; readonly max: number } {
    return this.#file.atomicWrite;
  }

  /**
   * Rounds up to a multiple of the offset alignment.
   *
   * @param value a position or a length in bytes
   * @example Round a length up to whole blocks
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("aligned.bin");
   * console.log(file.alignUp(5000)); // 8192 where blocks have 4,096 bytes
   * ```
   */
  alignUp(value: number): number {
    const up = alignUp(integer("value", value), this.#file.alignment);
    return integer("value, aligned up,", up);
  }

  /**
   * Rounds down to a multiple of the offset alignment.
   *
   * @param value a position or a length in bytes
   * @example Find the block that contains a position
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("aligned.bin");
   * console.log(file.alignDown(5000)); // 4096 where blocks have 4,096 bytes
   * ```
   */
  alignDown(value: number): number {
    return alignDown(integer("value", value), this.#file.alignment);
  }

  /**
   * Allocates a zeroed buffer for {@linkcode DmaFile.prototype.writeAt | DmaFile.writeAt}.
   *
   * @param length the length in bytes, from 1 to 2,147,418,112; it is rounded up to the offset alignment
   * @example Fill a buffer and write it
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("buffer.bin");
   * const buffer = file.allocBuffer(10_000);
   * console.log(buffer.length); // 12288 where blocks have 4,096 bytes
   * buffer.bytes.fill(7);
   * await file.writeAt(buffer, 0);
   * ```
   */
  allocBuffer(length: number): DmaBuffer {
    return allocateBuffer(this.alignUp(integer("length", length, 1, MAX_TRANSFER)));
  }

  /**
   * Reads any range, aligned or not.
   *
   * @param position the first byte
   * @param length the number of bytes to read
   * @returns the bytes, which belong to the caller: fewer than `length` at the end of the file, none beyond it
   * @example Read a range that is not aligned
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("letters.txt", "abcdef");
   * await using file = await DmaFile.open("letters.txt");
   * console.log(new TextDecoder().decode(await file.readAt(2, 2))); // cd
   * console.log((await file.readAt(4, 100)).length); // 2: the file ends there
   * ```
   */
  async readAt(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(position, length);
    this.#file.assertReadable();
    return await readBytes(this.#file, position, length);
  }

  /**
   * As {@linkcode DmaFile.prototype.readAt | DmaFile.readAt}, but a range that is not aligned is an error, because it
   * would read more than its own bytes.
   *
   * @param position the first byte, a multiple of the offset alignment
   * @param length the number of bytes to read, a multiple of the offset alignment
   * @returns the bytes, which belong to the caller: fewer than `length` at the end of the file
   * @throws {RangeError} position or length is not aligned
   * @example Read one block
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeFile("blocks.bin", new Uint8Array(100_000));
   * await using file = await DmaFile.open("blocks.bin");
   * const block = file.alignment.offset;
   * console.log((await file.readAtAligned(3 * block, block)).length); // one block
   * ```
   */
  async readAtAligned(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(position, length, this.#file.alignment);
    return await this.readAt(position, length);
  }

  /**
   * Reads many ranges. Near ranges that follow each other are merged into one read, so sorted ranges take fewer reads.
   * Results come in the order of `ranges`, which is iterated only as results are taken.
   *
   * @param ranges the ranges, in any order
   * @param options limits of merging and concurrency
   * @throws when iteration reaches a range that is invalid or cannot be read
   * @example Read some records of a table
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeFile("table.bin", new Uint8Array(100_000));
   * await using file = await DmaFile.open("table.bin");
   * const ranges = [1, 2, 700].map((record) => ({ position: record * 128, length: 128 }));
   * for await (const { position, bytes } of file.readMany(ranges)) {
   *   console.log(position, bytes.length);
   * }
   * ```
   */
  readMany(
    ranges: Iterable<ByteRange> | AsyncIterable<ByteRange>,
    options?: ReadManyOptions,
  ): AsyncIterable<RangeRead> {
    const reads = readMany(this.#file, ranges, () => mergeLimits(options));
    readFiles.set(reads, this);
    return reads;
  }

  /**
   * Fills a buffer from `position` on, without a copy. One buffer serves any number of reads, so there is no garbage.
   * Its `bytes` are empty during the read, and a new view afterwards.
   *
   * @param buffer the buffer to fill
   * @param position the first byte, a multiple of the offset alignment
   * @returns the number of bytes read: fewer than the buffer has at the end of the file, and the rest is unspecified
   * @throws {RangeError} the position is not aligned
   * @example Read a file block by block into one buffer
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("blocks.txt", "Hello, disk");
   * await using file = await DmaFile.open("blocks.txt");
   * const buffer = file.allocBuffer(4096);
   * for (let position = 0;; position += buffer.length) {
   *   const read = await file.readInto(buffer, position);
   *   console.log(new TextDecoder().decode(buffer.bytes.subarray(0, read))); // Hello, disk
   *   if (read < buffer.length) break;
   * }
   * ```
   */
  async readInto(buffer: DmaBuffer, position: number): Promise<number> {
    return await readInto(this.#file, buffer, position);
  }

  /**
   * Writes an aligned range. A {@linkcode DmaBuffer} is written without a copy, and its `bytes` are empty until the
   * promise settles. A `Uint8Array` is copied in parts, and must not change until then.
   *
   * @param data the bytes; their number is a multiple of the offset alignment
   * @param position the first byte in the file, a multiple of the offset alignment
   * @param options `atomic`: a power cut leaves all of the bytes or none
   * @returns the number of bytes written, which is always all of them
   * @throws {RangeError} position or length is not aligned, or the length is not one of an atomic write
   * @throws {TypeError} the file was opened with `append: true`
   * @throws {Deno.errors.NotSupported} `atomic` is set, and the disk, the file system or the kernel has no atomic writes
   * @example Overwrite the second block
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("blocks.bin");
   * const buffer = file.allocBuffer(1);
   * buffer.bytes.fill(2);
   * await file.writeAt(buffer, buffer.length);
   * await file.syncData();
   * ```
   */
  async writeAt(
    data: DmaBuffer | Uint8Array,
    position: number,
    options?: DmaWriteAtOptions,
  ): Promise<number> {
    return await writeAt(this.#file, data, position, isSet(options, "atomic"));
  }

  /**
   * The file's length on disk, in bytes. While a writer is open, it may exceed the end of the written bytes.
   *
   * @example Print the length of a file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * await using file = await DmaFile.open("notes.txt");
   * console.log(await file.size()); // 11
   * ```
   */
  async size(): Promise<number> {
    const { descriptor } = this.#file;
    return (await descriptor.use("stat", () => stat(descriptor))).size;
  }

  /**
   * The file's metadata, as `Deno.FsFile.stat` returns it.
   *
   * @example Print when a file was changed
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * await using file = await DmaFile.open("notes.txt");
   * const { mtime, size } = await file.stat();
   * console.log(mtime, size);
   * ```
   */
  async stat(): Promise<Deno.FileInfo> {
    const { descriptor } = this.#file;
    return await descriptor.use("stat", () => fileInfo(descriptor));
  }

  /**
   * Cuts the file to `length` bytes, or extends it with zeros.
   *
   * @param length the file's new length, by default 0
   * @example Keep the first bytes of a file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * await using file = await DmaFile.open("notes.txt", { write: true });
   * await file.truncate(5);
   * console.log(await Deno.readTextFile("notes.txt")); // Hello
   * ```
   */
  async truncate(length = 0): Promise<void> {
    integer("length", length);
    this.#file.assertWritable("truncate");
    await truncateTo(this.#file, length, "truncate");
  }

  /**
   * Reserves space for the first `length` bytes and keeps their content. A shorter file is extended with zeros, unless
   * `keepSize` is set. A writer cuts these zeros off when it ends if this `DmaFile` created or emptied the file, or if
   * the writer was open before this call. In a file opened with `append: true` the zeros stay and records follow them,
   * so set `keepSize` there. If there is not enough room, nothing stays reserved past the end of the file.
   *
   * @param length the number of bytes from the beginning of the file, 1 or more
   * @param options `keepSize`: the file's length stays
   * @throws {Deno.errors.NotSupported} the file system cannot reserve space
   * @example Reserve space before a long recording
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("recording.bin");
   * await file.preallocate(64 * 1024 ** 2, { keepSize: true });
   * console.log(await file.size()); // 0: the space is taken, the length is not
   * ```
   */
  async preallocate(length: number, options?: DmaPreallocateOptions): Promise<void> {
    integer("length", length, 1);
    const keepSize = isSet(options, "keepSize");
    this.#file.assertWritable("allocate");
    await reserveSpace(this.#file, length, keepSize);
  }

  /**
   * Frees the space of a range, which reads as zeros afterwards. The file's length stays.
   *
   * @param position the first byte
   * @param length the length of the range in bytes, 1 or more
   * @throws {Deno.errors.NotSupported} the file system cannot free a range
   * @example Free the beginning of a file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeFile("ring.bin", new Uint8Array(1 << 20).fill(1));
   * await using file = await DmaFile.open("ring.bin", { write: true });
   * await file.deallocate(0, 512 * 1024);
   * console.log((await file.readAt(0, 1))[0]); // 0
   * ```
   */
  async deallocate(position: number, length: number): Promise<void> {
    checkRange(position, integer("length", length, 1));
    this.#file.assertWritable("allocate");
    await freeSpace(this.#file, position, length);
  }

  /**
   * Copies a range into `target`, which may be on another file system. If both positions are multiples of the target's
   * offset alignment, the kernel copies whole blocks, or shares them (xfs, btrfs). Holes that are not shared become
   * zeros, which take space: `dma copy` keeps holes. Do not copy into the first or last block of an open writer of the
   * target: both write the whole block. A long copy rejects when either file is closed.
   *
   * @param target the file to copy to, opened for writing
   * @param position the first byte to copy
   * @param length the number of bytes to copy
   * @param targetPosition the position of the first byte in the target
   * @returns the number of bytes copied: less than `length` if this file ends before
   * @throws {TypeError} the target was opened with `append: true`
   * @throws {RangeError} both ranges are in one file and overlap
   * @example Concatenate two files
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("one.txt", "one, ");
   * await Deno.writeTextFile("two.txt", "two");
   * await using target = await DmaFile.create("both.txt");
   * let position = 0;
   * for (const path of ["one.txt", "two.txt"]) {
   *   await using part = await DmaFile.open(path);
   *   position += await part.copyRangeTo(target, 0, await part.size(), position);
   * }
   * console.log(await Deno.readTextFile("both.txt")); // one, two
   * ```
   */
  async copyRangeTo(
    target: DmaFile,
    position: number,
    length: number,
    targetPosition: number,
  ): Promise<number> {
    const to = openFileOf("target", target, "copy to");
    checkRange(position, length);
    integer("targetPosition", targetPosition);
    integer("targetPosition + length", targetPosition + length);
    this.#file.assertReadable();
    to.assertWritableAt("copy");
    return await copyRange({ from: this.#file, to, position, targetPosition, length });
  }

  /**
   * Waits for an advisory lock on the whole file (`flock`), shared or exclusive. It is released by {@linkcode
   * DmaFile.prototype.unlock | DmaFile.unlock} and by closing the file. Until then the garbage collector does not close
   * the file. To make a shared lock exclusive, flock(2) first releases it: while the call waits, no lock is held. Calls
   * on one file take effect in their order, except that a waiting one takes effect when it gets the lock. If the process
   * is killed, the kernel keeps the lock until the writes of this `DmaFile` have completed. It does not wait for those
   * of other files, so a separate lock file is no protection then.
   *
   * @param exclusive whether the lock excludes all others, shared ones too; by default false
   * @param options `signal` ends the wait
   * @throws the reason of the signal, if it is aborted before the lock is granted
   * @example Wait at most two seconds for a lock
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("shared.bin");
   * await file.lock(true, { signal: AbortSignal.timeout(2000) });
   * await file.unlock();
   * ```
   */
  async lock(exclusive = false, options?: DmaLockOptions): Promise<void> {
    await lock(this.#file, this, flag("exclusive", exclusive), signalOf(options));
  }

  /**
   * As {@linkcode DmaFile.prototype.lock | DmaFile.lock}, but does not wait if another handle holds the lock. A shared
   * lock that this call cannot make exclusive is lost.
   *
   * @param exclusive whether the lock excludes all others, shared ones too; by default false
   * @returns whether the lock was granted: false if another handle holds it
   * @example Stop if another program holds the lock
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("shared.bin");
   * if (!await file.tryLock(true)) throw new Error("Another program holds the lock");
   * ```
   */
  async tryLock(exclusive = false): Promise<boolean> {
    return await tryLock(this.#file, this, flag("exclusive", exclusive));
  }

  /**
   * Releases the lock.
   *
   * @example Hold a lock for as long as it is needed
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("shared.bin");
   * await file.lock();
   * console.log(await file.size());
   * await file.unlock();
   * ```
   */
  async unlock(): Promise<void> {
    await unlock(this.#file);
  }

  /**
   * Makes bytes and metadata durable (`fsync`). A failure is final: the kernel drops the bytes that it could not write,
   * so another sync would succeed without them. Every later sync of this object rejects with the same error.
   *
   * @example Make a block and the metadata durable
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("blocks.bin");
   * await file.writeAt(file.allocBuffer(1), 0);
   * await file.sync();
   * ```
   */
  async sync(): Promise<void> {
    await this.#file.descriptor.use("sync", () => this.#file.durability.sync(false));
  }

  /**
   * Makes bytes and length durable (`fdatasync`). A failure is final, as in {@linkcode DmaFile.prototype.sync | sync}.
   *
   * @example Make a block durable
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("blocks.bin");
   * await file.writeAt(file.allocBuffer(1), 0);
   * await file.syncData();
   * ```
   */
  async syncData(): Promise<void> {
    await this.#file.descriptor.use("sync", () => this.#file.durability.sync(true));
  }

  /**
   * Renames the file, and replaces any file at the new path. An atomic file gets the new name when it is closed.
   *
   * @param to the new path, on the same file system
   * @throws {Deno.errors.NotFound} the old name is gone, or belongs to another file
   * @example Keep the last version of a file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("state.json", "{}");
   * await using file = await DmaFile.open("state.json");
   * await file.rename("state.old.json");
   * console.log(file.path); // state.old.json
   * ```
   */
  async rename(to: string | URL): Promise<void> {
    await this.#file.naming.rename(pathText("to", to));
  }

  /**
   * Removes the file's name; the open file stays usable. An atomic file is not published. A missing name is no error.
   *
   * @throws {Deno.errors.NotFound} the name belongs to another file
   * @example Discard an atomic file that has no writer
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await using file = await DmaFile.create("index.bin", { atomic: true });
   * await file.writeAt(file.allocBuffer(1), 0);
   * await file.remove(); // otherwise the end of the scope would publish it
   * ```
   */
  async remove(): Promise<void> {
    await this.#file.naming.remove();
  }

  /**
   * Whether both are the same file, whatever their paths: device and inode are compared.
   *
   * @param other another open file
   * @example Compare two paths of one file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * await using one = await DmaFile.open("notes.txt");
   * await using other = await DmaFile.open("./notes.txt");
   * console.log(one.isSameFile(other)); // true
   * ```
   */
  isSameFile(other: DmaFile): boolean {
    return isSame(this.#file.facts, openFileOf("other", other, "compare with").facts);
  }

  /**
   * A reader with default options, the same one each time. It closes the file when it ends.
   *
   * @example Read a file as a stream
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * const file = await DmaFile.open("notes.txt");
   * console.log(await new Response(file.readable).text()); // Hello, disk
   * ```
   */
  get readable(): DmaStreamReader {
    return this.#reader ??= new DmaStreamReader(this);
  }

  /**
   * A writer with default options, the same one each time. It closes the file when it ends.
   *
   * @example Write a stream to a file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * const file = await DmaFile.create("notes.txt");
   * await new Blob(["Hello, disk"]).stream().pipeTo(file.writable);
   * ```
   */
  get writable(): DmaStreamWriter {
    return this.#writer ??= new DmaStreamWriter(this);
  }

  /**
   * Waits for the operations in flight and closes the file. Further calls have no effect. An open writer of the file is
   * aborted, so close the writer instead. Only an atomic file is made durable; one without a writer is published here.
   * Rejects if the aborted writer's file could not be cut to the flushed bytes.
   *
   * @example Close a file
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * const file = await DmaFile.create("blocks.bin");
   * await file.writeAt(file.allocBuffer(1), 0);
   * await file.syncData();
   * await file.close();
   * ```
   */
  async close(): Promise<void> {
    const file = this.#file;
    forgetFailure(file);
    let cutError: unknown;
    // Another writer may start while one ends. Without a writer, no new one can start after file.close() is called.
    while (file.writer) {
      const ended = file.writer.abortWriter(closedError("write", file.path));
      await ended.catch((error) => cutError ??= error);
    }
    await file.close();
    if (cutError) throw cutError;
  }

  /**
   * Closes the file, as {@linkcode DmaFile.prototype.close | close}. If a close has begun, only that one can reject.
   *
   * @example Close a file at the end of a scope
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * await using file = await DmaFile.open("notes.txt");
   * console.log(await file.size()); // 11
   * ```
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const { closing } = this.#file.descriptor;
    await this.close().catch((error) => {
      if (!closing) throw error;
    });
  }

  /** @ignore */
  [Symbol.for("Deno.customInspect")](inspect: Inspect, options: Deno.InspectOptions): string {
    // The prototype has no file.
    if (!(#file in this)) return "DmaFile {}";
    const { path, direct, alignment } = this;
    const closed = this.#file.descriptor.closing;
    return `DmaFile ${inspect({ path, direct, alignment, closed }, options)}`;
  }
}

/**
 * A `WritableStream` to a file, through Direct I/O if the file has it. Full buffers are written while the next fills.
 *
 * `close()` resolves when every byte is durable and the length exact. The first failure is final: the stream is
 * errored, every later call rejects with it, and buffers and descriptor are freed.
 *
 * While a writer is open, its file may have zeros past the written bytes: the end of file is moved ahead of the
 * writes. After a SIGKILL or a power cut these zeros can remain. Every byte below the position of the last {@linkcode
 * DmaStreamWriter.prototype.sync | DmaStreamWriter.sync} is there, and the bytes past it are data or zeros. With
 * `preallocate: false` only the padding of one block can remain, and holes before writes that overtook others. An
 * atomic file never shows either.
 *
 * A writer can be transferred to a Worker: `worker.postMessage(writer, [writer])`. The Worker gets a plain
 * `WritableStream`, as the Standard specifies. Its `close()` resolves before the bytes are durable, and failures of the
 * disk are not reported to it. The sender awaits {@linkcode DmaStreamWriter.prototype.closed | closed}.
 *
 * @example Write a download to a file
 * ```ts
 * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
 *
 * const response = new Response("Hello, disk");
 * const file = await DmaFile.create("download.bin");
 * await response.body!.pipeTo(new DmaStreamWriter(file));
 * ```
 */
export class DmaStreamWriter extends WritableStream<ArrayBufferView | ArrayBufferLike>
  implements AsyncDisposable {
  /** The file that is written to. */
  readonly file: DmaFile;
  /** Bytes of one buffer. */
  readonly bufferSize: number;
  /** Buffers that may be in flight. */
  readonly writeBehind: number;
  readonly #sink: WriterSink;

  /**
   * Starts a writer on an open file. A `DmaFile` has one writer at a time.
   *
   * @param file the file, opened for writing
   * @param options the start, the memory, and the effect of `close()`
   * @throws {Deno.errors.BadResource} the file is closed
   * @throws {TypeError} the file was opened without `write`, is sealed, or has a writer; or an option has a wrong type
   * @throws {RangeError} an option is out of range
   * @example Start in the middle of a file
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * await Deno.writeTextFile("letters.txt", "abcdef");
   * const file = await DmaFile.open("letters.txt", { write: true });
   * const writer = new DmaStreamWriter(file, { position: 2 });
   * await writer.write(new TextEncoder().encode("CD"));
   * await writer.close();
   * console.log(await Deno.readTextFile("letters.txt")); // abCDef
   * ```
   */
  constructor(file: DmaFile, options?: DmaStreamWriterOptions) {
    const openFile = openFileOf("file", file, "write to");
    const checked = writerOptions(options, openFile);
    openFile.assertTakesWriter();
    const writer = new Writer(openFile, checked);
    const sink = new WriterSink(writer);
    super({
      start: (controller) => sink.start(controller),
      write: () => sink.write(),
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    }, { highWaterMark: 1, size: (chunk) => sink.size(chunk!) });
    sink.attach(this);
    this.file = file;
    this.bufferSize = checked.bufferSize;
    this.writeBehind = checked.writeBehind;
    this.#sink = sink;
    whenDropped(this, writer.ended, () => {
      writer.abort(new Error("The writer was dropped without close")).catch(() => {});
    });
  }

  /**
   * The end of the accepted bytes, as a position in the file. Stays readable after close.
   *
   * @example Compare the accepted bytes with the flushed ones
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const writer = new DmaStreamWriter(await DmaFile.create("log.bin"));
   * await writer.write(new Uint8Array(5));
   * console.log(writer.currentPos, writer.currentFlushedPos); // 5 0
   * await writer.close();
   * console.log(writer.currentPos, writer.currentFlushedPos); // 5 5
   * ```
   */
  get currentPos(): number {
    return this.#sink.writer.position;
  }

  /**
   * The position at which the next chunk will start. It includes the chunks that wait to be accepted. In a file opened
   * with `append: true` it does not include bytes that other processes append.
   *
   * @example Note where each record of a log starts
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const log = new DmaStreamWriter(await DmaFile.create("records.log"));
   * const starts: number[] = [];
   * const writes = ["one", "two"].map((text) => {
   *   starts.push(log.nextPos);
   *   return log.write(new TextEncoder().encode(text));
   * });
   * await Promise.all(writes);
   * await log.close();
   * console.log(starts); // [0, 3]
   * ```
   */
  get nextPos(): number {
    return this.#sink.nextPosition;
  }

  /**
   * The end of the contiguous prefix that has reached the file. New readers see every byte below it. A power cut may
   * lose these bytes: {@linkcode DmaStreamWriter.prototype.sync | DmaStreamWriter.sync} makes them durable.
   *
   * @example Show the progress of a pipe
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * const file = await DmaFile.create("copy.bin");
   * const done = new Blob([new Uint8Array(5_000_000)]).stream().pipeTo(file.writable);
   * const timer = setInterval(() => console.log(file.writable.currentFlushedPos), 100);
   * await done;
   * clearInterval(timer);
   * ```
   */
  get currentFlushedPos(): number {
    return this.#sink.writer.flushedPosition;
  }

  /**
   * Resolves when the writer has ended and its file is closed, durable as `close()` promises. Rejects with the failure,
   * or the reason of an abort. Use it if a pipe closes the stream, or a Worker to which the stream was transferred.
   *
   * @example Wait for a writer that a pipe closes
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * const writer = (await DmaFile.create("closed.bin")).writable;
   * const pipe = new Blob(["bytes"]).stream().pipeTo(writer);
   * await writer.closed; // everything is durable
   * await pipe;
   * ```
   */
  get closed(): Promise<void> {
    return this.#sink.watched(this.#sink.writer.closedOrFailed);
  }

  /**
   * Accepts a whole chunk, in order, without a lock of the stream. When the promise resolves, the bytes may still be in
   * memory, and the caller may change the chunk.
   *
   * @param chunk any number of bytes
   * @throws {TypeError} the chunk is not bytes, or the stream is locked or closed; other chunks are not affected
   * @example Write text
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * await using writer = new DmaStreamWriter(await DmaFile.create("hello.txt"));
   * await writer.write(new TextEncoder().encode("Hello, disk\n"));
   * ```
   */
  write(chunk: ArrayBufferView | ArrayBufferLike): Promise<void> {
    // Called on another object it rejects, like the platform's methods. An async function would be slower.
    if (!(#sink in Object(this))) return Promise.reject(new TypeError("Not a writer"));
    return this.#sink.writeUnlocked(this, chunk);
  }

  /**
   * Writes a buffer of {@linkcode DmaFile.prototype.allocBuffer | DmaFile.allocBuffer}, without a copy if the current
   * buffer is empty and the position aligned. The writer keeps the buffer: its `bytes` are empty from then on.
   *
   * @param buffer the buffer; all of its bytes are written
   * @throws {TypeError} it is not a DmaBuffer, or it is in use, or the stream is locked or closed
   * @example Write a megabyte without a copy
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const file = await DmaFile.create("given.bin");
   * const writer = new DmaStreamWriter(file);
   * const buffer = file.allocBuffer(1 << 20);
   * buffer.bytes.fill(7);
   * await writer.writeBuffer(buffer);
   * await writer.close();
   * ```
   */
  async writeBuffer(buffer: DmaBuffer): Promise<void> {
    const sink = this.#sink;
    demandBuffer(buffer, "write");
    try {
      sink.assertUsable(this, "write to");
      const memory = takeMemory(buffer);
      await sink.give(this, memory.bytes, memory);
    } catch (error) {
      await sink.rethrow(error);
    }
  }

  /**
   * Waits until every full buffer has reached the file, and with `tail` the partly filled one too. It does not sync.
   *
   * @param options `tail`: the partly filled buffer is written too
   * @returns the flushed position
   * @example Show a line to programs that follow a log
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const file = await DmaFile.open("followed.log", { append: true, create: true });
   * await using log = new DmaStreamWriter(file);
   * await log.write(new TextEncoder().encode("started\n"));
   * await log.flushAligned({ tail: true });
   * console.log(await Deno.readTextFile("followed.log")); // started
   * ```
   */
  async flushAligned(options?: DmaSyncOptions): Promise<number> {
    return await this.#sink.flush(isSet(options, "tail"), false);
  }

  /**
   * Waits for the full buffers, and makes them durable. With `tail` the partly filled buffer is included, and writing
   * may continue. Any number of calls may wait at once, also while a pipe holds the lock. The first call also makes the
   * name of a created or renamed file durable.
   *
   * @param options `tail`: the partly filled buffer is made durable too
   * @returns the flushed position at the time when the sync of the file began
   * @example Acknowledge a record when it is durable
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * await using log = new DmaStreamWriter(await DmaFile.create("orders.log"));
   * await log.write(new TextEncoder().encode("order 1\n"));
   * const position = await log.sync({ tail: true });
   * console.log(`durable up to byte ${position}`); // 8
   * ```
   */
  async sync(options?: DmaSyncOptions): Promise<number> {
    return await this.#sink.flush(isSet(options, "tail"), true);
  }

  /**
   * Blocks the JavaScript thread until every chunk so far is in the file, for `unload` and crash handlers. It works
   * under a lock and while writes are in flight, and writing may continue. If the device hangs, so does the program.
   *
   * @param options `durable`: the bytes and the name are made durable too
   * @throws the failure of the stream
   * @throws {TypeError} a chunk was given after the end of the program had closed the writer
   * @throws {Deno.errors.TimedOut} the bytes wait for another call on the file, which cannot end while the thread is
   * blocked. The writer has not failed then
   * @example Write everything before a crash ends the program
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const log = new DmaStreamWriter(await DmaFile.create("crash.log"));
   * addEventListener("error", () => log.flushSync({ durable: true }));
   * await log.write(new TextEncoder().encode("the last line\n"));
   * log.flushSync();
   * console.log(log.currentFlushedPos); // 14: the whole line is in the file
   * await log.close();
   * ```
   */
  flushSync(options?: DmaFlushSyncOptions): void {
    this.#sink.flushSync(isSet(options, "durable"));
    cutAfterEnd(this.#sink.writer.file);
  }

  /**
   * Writes the remaining bytes, cuts the file to its exact length, makes it and its name durable, and closes it.
   *
   * @throws the first failure of the stream; buffers and descriptor are freed in any case
   * @throws {TypeError} the stream is locked, or was closed before
   * @example Complete a file
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const writer = new DmaStreamWriter(await DmaFile.create("whole.bin"));
   * await writer.write(new Uint8Array(5000));
   * await writer.close();
   * console.log((await Deno.stat("whole.bin")).size); // 5000, and durable
   * ```
   */
  override async close(): Promise<void> {
    await this.#sink.end(this);
  }

  /**
   * Does what `close()` does, but leaves the file open for reading. Reads of one part of a sealed file at the same time
   * share one operation, so a read can miss bytes that another handle has just written.
   *
   * @returns the same file, now read-only
   * @throws what `close()` throws
   * @example Write a file, and then read it
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const writer = new DmaStreamWriter(await DmaFile.create("sealed.bin"));
   * await writer.write(new Uint8Array(5000).fill(1));
   * await using file = await writer.seal();
   * console.log((await file.readAt(4999, 1))[0]); // 1
   * ```
   */
  async seal(): Promise<DmaFile> {
    await this.#sink.end(this, true);
    return this.file;
  }

  /**
   * Waits for the writes in flight, cuts the file to {@linkcode DmaStreamWriter.prototype.currentFlushedPos |
   * DmaStreamWriter.currentFlushedPos}, or discards an atomic file, and closes it.
   *
   * @param reason the value with which every later call rejects; by default an AbortError
   * @throws the failure of the cut, after which the file may be longer
   * @example Discard a file
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const writer = new DmaStreamWriter(await DmaFile.create("part.bin", { atomic: true }));
   * await writer.write(new Uint8Array(5000));
   * await writer.abort(new Error("The user changed their mind")); // no file appears
   * ```
   */
  override async abort(reason: unknown = AbortSignal.abort().reason): Promise<void> {
    if (this.#sink.writer.closed) return;
    await this.#sink.abort(!this.locked, () => super.abort(reason));
  }

  /**
   * As `WritableStream.getWriter`, but a chunk that is not bytes is only rejected, and the stream stays usable.
   *
   * @example Write through a lock
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * const lock = new DmaStreamWriter(await DmaFile.create("locked.bin")).getWriter();
   * await lock.write(new Uint8Array(5000));
   * await lock.close();
   * ```
   */
  override getWriter(): WritableStreamDefaultWriter<ArrayBufferView | ArrayBufferLike> {
    return new WriterLock(this, this.#sink);
  }

  /**
   * Closes the writer, even after an exception: if an incomplete file must not look complete, use `await using` on the
   * file instead. Does nothing if the writer was closed or aborted, or if a call or pipe has rejected with its failure.
   * Rejects once if `file.close()` has aborted it.
   *
   * @example Close a log at the end of a scope
   * ```ts
   * import { DmaFile, DmaStreamWriter } from "@denodma/dma";
   *
   * {
   *   await using log = new DmaStreamWriter(await DmaFile.create("scope.log"));
   *   await log.write(new TextEncoder().encode("a line\n"));
   * }
   * console.log(await Deno.readTextFile("scope.log")); // a line
   * ```
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const sink = this.#sink;
    const { closed, closeAnnounced, ended, failure } = sink.writer;
    // By then a running pipe may have reported the failure.
    if (failure) await ended;
    if (closeAnnounced || closed || sink.errorReported) return await ended;
    await this.close();
  }

  /** @ignore */
  [Symbol.for("Deno.customInspect")](inspect: Inspect, options: Deno.InspectOptions): string {
    if (!(#sink in this)) return "DmaStreamWriter {}";
    const { file, currentPos, currentFlushedPos, bufferSize, writeBehind } = this;
    const facts = { path: file.path, currentPos, currentFlushedPos, bufferSize, writeBehind };
    return `DmaStreamWriter ${inspect(facts, options)}`;
  }
}

/**
 * A `ReadableStream` of a file with read-ahead, through Direct I/O if the file has it. BYOB readers work.
 *
 * Chunks have up to 512 KiB and belong to the consumer. Memory is bounded by `readAhead + 1` buffers. Piped into a
 * {@linkcode DmaStreamWriter}, whole buffers go from reads to writes without a copy.
 *
 * @example Count the newlines of a file
 * ```ts
 * import { DmaFile, DmaStreamReader } from "@denodma/dma";
 *
 * await Deno.writeTextFile("lines.txt", "one\ntwo\n");
 * let lines = 0;
 * for await (const chunk of new DmaStreamReader(await DmaFile.open("lines.txt"))) {
 *   for (const byte of chunk) if (byte === 10) lines++;
 * }
 * console.log(lines); // 2
 * ```
 */
export class DmaStreamReader extends ReadableStream<Uint8Array<ArrayBuffer>>
  implements AsyncDisposable {
  /** The file that is read. */
  readonly file: DmaFile;
  /** Bytes of one buffer. */
  readonly bufferSize: number;
  /** Buffers that are read ahead. */
  readonly readAhead: number;
  readonly #source: ReaderSource;

  /**
   * Starts a reader on an open file. It reads nothing before the first chunk is requested.
   *
   * @param file the file, opened for reading
   * @param options the range and the memory
   * @throws {Deno.errors.BadResource} the file is closed, or was opened without `read`
   * @throws {TypeError} an option has a wrong type
   * @throws {RangeError} an option is out of range
   * @example Read a part of a file
   * ```ts
   * import { DmaFile, DmaStreamReader } from "@denodma/dma";
   *
   * await Deno.writeTextFile("letters.txt", "abcdef");
   * const reader = new DmaStreamReader(await DmaFile.open("letters.txt"), { start: 2, end: 4 });
   * console.log(await new Response(reader).text()); // cd
   * ```
   */
  constructor(file: DmaFile, options?: DmaStreamReaderOptions) {
    const openFile = openFileOf("file", file, "read from");
    openFile.assertReadable();
    const checked = readerOptions(options, openFile);
    const source = new ReaderSource(openFile, checked);
    super({
      type: "bytes",
      start: (controller) => source.start(controller as ReadableByteStreamController),
      pull: (controller) => source.pull(controller as ReadableByteStreamController),
      cancel: () => source.finish(),
    }, { highWaterMark: 0 });
    this.file = file;
    this.bufferSize = checked.bufferSize;
    this.readAhead = checked.readAhead;
    this.#source = source;
    // The file may have other users. A close would also publish an atomic one.
    whenDropped(this, source.ended, () => void source.finish(false).catch(() => {}));
  }

  /**
   * The position in the file of the next byte to be delivered.
   *
   * @example Show the progress of a read
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeFile("zeros.bin", new Uint8Array(100_000));
   * const reader = (await DmaFile.open("zeros.bin")).readable;
   * for await (const chunk of reader) console.log(chunk.length, reader.currentPos);
   * ```
   */
  get currentPos(): number {
    return this.#source.position;
  }

  /**
   * Moves forward by `bytes` without reading, at most to the end of the file. Delivered chunks are not affected.
   *
   * @param bytes the number of bytes to skip, 0 or more
   * @throws {RangeError} `bytes` is negative
   * @example Skip a header
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeTextFile("letters.txt", "abcdef");
   * const reader = (await DmaFile.open("letters.txt")).readable;
   * reader.skip(4);
   * console.log(await new Response(reader).text()); // ef
   * ```
   */
  skip(bytes: number): void {
    this.#source.readAhead.skip(integer("bytes", bytes));
  }

  /**
   * As `ReadableStream.pipeTo`. Whole buffers are handed to a {@linkcode DmaStreamWriter} without a copy, with the same
   * results and errors.
   *
   * @param destination the stream to write to
   * @param options those of `ReadableStream.pipeTo`
   * @example Copy a file without a copy in JavaScript
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeFile("from.bin", new Uint8Array(3_000_000));
   * const source = await DmaFile.open("from.bin");
   * const target = await DmaFile.create("to.bin", { atomic: true });
   * await source.readable.pipeTo(target.writable);
   * ```
   */
  override async pipeTo(
    destination: WritableStream<Uint8Array<ArrayBuffer>>,
    options?: StreamPipeOptions,
  ): Promise<void> {
    const given = readPipeOptions(options);
    const piped = given && pipeDirectly(this, this.#source, destination, given);
    // The stream itself rejects wrong arguments.
    await (piped ?? super.pipeTo(destination, (given ?? options) as StreamPipeOptions));
  }

  /**
   * Ends the stream, even under a lock. Waits for reads in flight, frees the buffers, and closes the file.
   *
   * @example Stop reading early
   * ```ts
   * import { DmaFile } from "@denodma/dma";
   *
   * await Deno.writeFile("zeros.bin", new Uint8Array(100_000));
   * const stream = (await DmaFile.open("zeros.bin")).readable;
   * const { value } = await stream.getReader().read();
   * console.log(value?.length);
   * await stream.close();
   * ```
   */
  async close(): Promise<void> {
    await this.#source.close();
  }

  /**
   * Ends the stream, as {@linkcode DmaStreamReader.prototype.close | DmaStreamReader.close}.
   *
   * @example Stop reading at the end of a scope
   * ```ts
   * import { DmaFile, DmaStreamReader } from "@denodma/dma";
   *
   * await Deno.writeTextFile("notes.txt", "Hello, disk");
   * await using stream = new DmaStreamReader(await DmaFile.open("notes.txt"));
   * const { value } = await stream.getReader().read();
   * console.log(value?.length); // 11
   * ```
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @ignore */
  [Symbol.for("Deno.customInspect")](inspect: Inspect, options: Deno.InspectOptions): string {
    if (!(#source in this)) return "DmaStreamReader {}";
    const { file, currentPos, bufferSize, readAhead } = this;
    const facts = { path: file.path, currentPos, bufferSize, readAhead };
    return `DmaStreamReader ${inspect(facts, options)}`;
  }
}
