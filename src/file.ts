// DmaFile: random access to a file through Direct I/O. Long, because a public class stands in one place with its
// documentation, which is more than half of it: here arguments are checked, and core/ does the work.

import {
  chunkBytes,
  flag,
  integer,
  optionsObject,
  pathText,
  shown,
  viewBytes,
} from "./arguments.ts";
import { allocateBuffer, DmaBuffer, giveMemoryBack, takeMemory } from "./buffer.ts";
import { assertReplaceable, openAtomic } from "./core/atomic.ts";
import { copyRange } from "./core/copy_range.ts";
import { closeFile, discardName, removeName } from "./core/end_of_life.ts";
import type { Handle } from "./core/handle.ts";
import { mayVanish } from "./core/isolate.ts";
import { lock, tryLock, unlock } from "./core/lock.ts";
import { openHandle } from "./core/open.ts";
import { sizeOf, statHandle, writeBytes, writeWhole } from "./core/random_access.ts";
import { type ByteRange, type RangeRead, readMany } from "./core/read_many.ts";
import { readBytes } from "./core/shared_reads.ts";
import { parseFileInfo } from "./core/stat.ts";
import { run } from "./engine/engine.ts";
import {
  AT_FDCWD,
  Errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAX_TRANSFER,
} from "./engine/linux.ts";
import { useEngine } from "./configure.ts";
import { closedError, ioError, renameError } from "./errors.ts";
import {
  type DmaCreateOptions,
  type DmaOpenOptions,
  type DmaPreallocateOptions,
  type DmaTempOptions,
  mergeLimits,
  openRequest,
  type ReadManyOptions,
  temporaryDirectory,
} from "./file_options.ts";
import { demand } from "./permissions.ts";
import { DmaStreamReader } from "./stream_reader.ts";
import { DmaStreamWriter } from "./stream_writer.ts";

/** Guards the constructor: files come from {@linkcode DmaFile.open}, {@linkcode DmaFile.create} and their like. */
const opened = Symbol("opened");

const dropped = new FinalizationRegistry<Handle>((handle) => {
  handle.dropped = true;
  // A writer that was dropped along with it closes the file when it is off it.
  if (!handle.occupant) closeFile(handle).catch(() => {});
});

/**
 * What is closed is forgotten at once: until then the registry keeps it for the next full collection, and everything that
 * hangs on it survives the cheap ones.
 */
const forget = (handle: Handle): void => void dropped.unregister(handle);

/** The open descriptor of a file. For this module only. */
export let handleOf: (file: DmaFile) => Handle;

/**
 * An open file that is read and written at any position, past the page cache where the file system lets it.
 * {@linkcode DmaFile.open}, {@linkcode DmaFile.create} and {@linkcode DmaFile.temp} give one.
 *
 * Positions and lengths are bytes. What the system refuses rejects with a {@linkcode DmaError}: `Deno.errors.BadResource`
 * where the file is closed or was not opened for it. A wrong argument rejects with a `TypeError` or `RangeError`.
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
  readonly #handle: Handle;
  #reader: DmaStreamReader | undefined;
  #writer: DmaStreamWriter | undefined;

  static {
    handleOf = (file) => file.#handle;
  }

  /** @ignore */
  private constructor(token: symbol, handle: Handle) {
    if (token !== opened) {
      throw new TypeError(
        "Cannot construct a DmaFile: use DmaFile.open, DmaFile.create or DmaFile.temp",
      );
    }
    this.#handle = handle;
    dropped.register(this, handle, handle);
    handle.onClosed = forget;
  }

  /**
   * Opens a regular file, for reading only unless told otherwise.
   *
   * @param path its path, or a `file:` URL
   * @param options what it is opened for
   * @throws {Deno.errors.NotCapable} Deno's permissions do not allow the path, or where it leads
   * @throws {Deno.errors.NotSupported} it is no regular file, or Direct I/O is required and not to be had
   */
  static async open(path: string | URL, options?: DmaOpenOptions): Promise<DmaFile> {
    const text = pathText("path", path);
    const request = openRequest(options);
    return new DmaFile(opened, await openHandle(await useEngine(), text, request));
  }

  /**
   * Makes a file, or empties the one that is there, for reading and writing.
   *
   * @param path its path, or a `file:` URL
   * @param options how it is made; `atomic` leaves a file that is there as it is until the new one is whole
   * @throws {Deno.errors.NotCapable} Deno's permissions do not allow the path, or where it leads
   * @throws {Deno.errors.NotSupported} it is no regular file, or Direct I/O is required and not to be had
   */
  static async create(path: string | URL, options?: DmaCreateOptions): Promise<DmaFile> {
    const text = pathText("path", path);
    const { atomic = false, ...rest } = optionsObject<DmaCreateOptions>("options", options);
    const request = openRequest({ ...rest, write: true, create: true, truncate: true });
    flag("atomic", atomic);
    const engine = await useEngine();
    const open = atomic ? openAtomic : openHandle;
    return new DmaFile(opened, await open(engine, text, request));
  }

  /**
   * Makes a file that never has a name, for reading and writing: it is gone when it is closed.
   *
   * @param options where it takes its space
   * @throws {Deno.errors.NotSupported} the file system has no files without a name
   */
  static async temp(options?: DmaTempOptions): Promise<DmaFile> {
    const { dir } = optionsObject<DmaTempOptions>("options", options);
    const directory = dir === undefined ? temporaryDirectory() : pathText("dir", dir);
    const request = openRequest({ write: true, mode: 0o600 });
    const engine = await useEngine();
    const handle = await openHandle(engine, directory, { ...request, unnamed: true });
    return new DmaFile(opened, handle);
  }

  /** Where the file was opened, as it was given, or where it was renamed to. */
  get path(): string {
    return this.#handle.path;
  }

  /** Whether I/O goes past the page cache: false where Direct I/O was not to be had, or was switched off. */
  get direct(): boolean {
    return this.#handle.direct;
  }

  /** What the kernel asks of Direct I/O on this file, in bytes (`STATX_DIOALIGN`; 4,096 where it does not say). */
  get alignment(): { readonly memory: number; readonly offset: number } {
    const { memoryAlignment, alignment } = this.#handle;
    return { memory: memoryAlignment, offset: alignment };
  }

  /**
   * The least multiple of the offset alignment that is not below `value`.
   *
   * @param value a position or a length in bytes
   */
  alignUp(value: number): number {
    const { alignment } = this.#handle;
    const up = Math.ceil(integer("value", value) / alignment) * alignment;
    return integer("value, aligned up,", up);
  }

  /**
   * The greatest multiple of the offset alignment that is not above `value`.
   *
   * @param value a position or a length in bytes
   */
  alignDown(value: number): number {
    const down = integer("value", value);
    return down - down % this.#handle.alignment;
  }

  /**
   * A zeroed buffer that suits {@linkcode DmaFile.prototype.writeAt | DmaFile.writeAt}. Its length is `length` aligned
   * up.
   *
   * @param length bytes that it must have at least, 1 or more
   */
  allocBuffer(length: number): DmaBuffer {
    return allocateBuffer(this.alignUp(integer("length", length, 1, MAX_TRANSFER)));
  }

  /**
   * Reads any range, aligned or not.
   *
   * @param position the first byte
   * @param length bytes to read
   * @returns the bytes, which belong to the caller: fewer than `length` where the file ends, none past its end
   */
  async readAt(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkRange(position, length);
    this.#assertReadable();
    return await readBytes(this.#handle, position, length);
  }

  /**
   * Reads an aligned range without a copy.
   *
   * @param position the first byte, a multiple of the offset alignment
   * @param length bytes to read, a multiple of it too
   * @returns the bytes, which belong to the caller: fewer than `length` where the file ends
   * @throws {RangeError} position or length is not aligned
   */
  async readAtAligned(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkRange(position, length);
    this.#checkAligned("position", position);
    this.#checkAligned("length", length);
    this.#assertReadable();
    return await readBytes(this.#handle, position, length);
  }

  /**
   * Reads many ranges. Near ones that follow each other are read at once, so sorted ranges take fewer reads; results come
   * in the order of `ranges`, which is asked for more only as results are taken.
   *
   * @param ranges what to read, in any order
   * @param options what may be read at once
   * @throws the error of the range that is wrong or could not be read, when its turn comes
   */
  readMany(
    ranges: Iterable<ByteRange> | AsyncIterable<ByteRange>,
    options?: ReadManyOptions,
  ): AsyncIterable<RangeRead> {
    return this.#readMany(ranges, options);
  }

  // Wrong arguments reject the first step, as every asynchronous method rejects.
  async *#readMany(
    ranges: unknown,
    options: ReadManyOptions | undefined,
  ): AsyncGenerator<RangeRead> {
    if (
      typeof ranges !== "object" || ranges === null ||
      !(Symbol.iterator in ranges || Symbol.asyncIterator in ranges)
    ) {
      throw new TypeError(`Invalid ranges ${shown(ranges)}: it must be iterable`);
    }
    const limits = mergeLimits(options);
    const check = (range: unknown): ByteRange => {
      if (typeof range !== "object" || range === null) {
        throw new TypeError(`Invalid range ${shown(range)}: it must have position and length`);
      }
      const { position, length } = range as ByteRange;
      this.#checkRange(position, length);
      return { position, length };
    };
    this.#assertReadable();
    yield* readMany(this.#handle, ranges as Iterable<unknown>, check, limits);
  }

  /**
   * Writes an aligned range. A {@linkcode DmaBuffer} is written without a copy, and its `bytes` are empty until the
   * write is over; other bytes are copied and must not change until then.
   *
   * @param data bytes, as many as a multiple of the offset alignment
   * @param position where they go, a multiple of the offset alignment
   * @returns bytes written: all of them
   * @throws {RangeError} position or length is not aligned
   */
  async writeAt(data: DmaBuffer | Uint8Array, position: number): Promise<number> {
    const isBuffer = data instanceof DmaBuffer;
    if (!isBuffer && !(data instanceof Uint8Array)) {
      throw new TypeError(`Cannot write ${shown(data)}: data must be a DmaBuffer or a Uint8Array`);
    }
    const { length } = isBuffer ? data : chunkBytes("data", data);
    integer("position", position);
    integer("position + length", position + length);
    this.#checkAligned("position", position);
    this.#checkAligned("data.length", length);
    this.#assertWritable("write");
    if (length === 0) return 0;
    const handle = this.#handle;
    if (!isBuffer) {
      await writeBytes(handle, viewBytes(data), position);
      return length;
    }
    const memory = takeMemory(data);
    try {
      if (mayVanish) await writeBytes(handle, memory.bytes, position);
      else await writeWhole(handle, memory, 0, length, position);
    } finally {
      giveMemoryBack(data, memory);
    }
    return length;
  }

  /** The file's length on disk, in bytes: while a writer is open it may be ahead of what was written. */
  async size(): Promise<number> {
    return await sizeOf(this.#handle);
  }

  /** As `Deno.FsFile.stat`. */
  async stat(): Promise<Deno.FileInfo> {
    const { path } = this;
    return await statHandle(this.#handle, (bytes) => parseFileInfo(bytes, path));
  }

  /**
   * Cuts the file to `length` bytes, or extends it by zeros.
   *
   * @param length the file's new length, by default 0
   */
  async truncate(length = 0): Promise<void> {
    integer("length", length);
    this.#assertWritable("truncate");
    const handle = this.#handle;
    const cut = async () => {
      await handle.step("truncate", { op: "truncate", fd: handle.fd, length });
      handle.contentEnd = length;
      handle.longest = length;
      handle.occupant?.noteTruncation();
      handle.changes++;
    };
    await handle.during("truncate", () => handle.putting(length, cut));
  }

  /**
   * Reserves space for the first `length` bytes; what is there stays. The file gets at least that long, by zeros,
   * unless `keepSize` is set.
   *
   * @param length bytes from the beginning of the file, 1 or more
   * @param options whether the file's length stays
   * @throws {Deno.errors.NotSupported} the file system cannot
   */
  async preallocate(length: number, options?: DmaPreallocateOptions): Promise<void> {
    integer("length", length, 1);
    const { keepSize = false } = optionsObject<DmaPreallocateOptions>("options", options);
    const mode = flag("keepSize", keepSize) ? FALLOC_FL_KEEP_SIZE : 0;
    this.#assertWritable("allocate");
    const handle = this.#handle;
    if (!keepSize) handle.longest = Math.max(handle.longest, length);
    await handle.run("allocate", { op: "allocate", fd: handle.fd, mode, position: 0, length })
      .finally(() => handle.changes++);
  }

  /**
   * Gives the space of a range back: it reads as zeros afterwards. The file's length stays.
   *
   * @param position the first byte
   * @param length bytes of the range, 1 or more
   * @throws {Deno.errors.NotSupported} the file system cannot
   */
  async deallocate(position: number, length: number): Promise<void> {
    this.#checkRange(position, integer("length", length, 1));
    this.#assertWritable("allocate");
    const handle = this.#handle;
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    await handle.run("allocate", { op: "allocate", fd: handle.fd, mode, position, length })
      .finally(() => handle.changes++);
  }

  /**
   * Copies a range into `target` inside the kernel: by reference where the file system can (xfs, btrfs). The file
   * systems may differ.
   *
   * @param target where the bytes go; it must have been opened for writing
   * @param position the first byte to copy
   * @param length bytes to copy
   * @param targetPosition where the first byte goes
   * @returns bytes copied: fewer than `length` where this file ends
   */
  async copyRangeTo(
    target: DmaFile,
    position: number,
    length: number,
    targetPosition: number,
  ): Promise<number> {
    if (!(target instanceof DmaFile)) {
      throw new TypeError(`Cannot copy to ${shown(target)}: target must be a DmaFile`);
    }
    this.#checkRange(position, length);
    integer("targetPosition", targetPosition);
    integer("targetPosition + length", targetPosition + length);
    this.#assertReadable();
    target.#assertWritable("copy");
    return await copyRange(this.#handle, target.#handle, position, length, targetPosition);
  }

  /**
   * Waits for an advisory lock on the whole file (`flock`): shared, or with `exclusive` against everybody. It is given
   * back by {@linkcode DmaFile.prototype.unlock | DmaFile.unlock} and by closing the file.
   *
   * @param exclusive nobody else may have the lock, not even a shared one; by default false
   */
  async lock(exclusive = false): Promise<void> {
    await lock(this.#handle, flag("exclusive", exclusive));
  }

  /**
   * As {@linkcode DmaFile.prototype.lock | DmaFile.lock}, without waiting. Where a shared lock cannot be made exclusive it
   * is lost (flock(2): it is given up first).
   *
   * @param exclusive nobody else may have the lock, not even a shared one; by default false
   * @returns whether it was given: false where somebody else has it
   */
  async tryLock(exclusive = false): Promise<boolean> {
    return await tryLock(this.#handle, flag("exclusive", exclusive));
  }

  /** Gives the lock back. */
  async unlock(): Promise<void> {
    await unlock(this.#handle);
  }

  /** Makes bytes and metadata durable (`fsync`). */
  async sync(): Promise<void> {
    const handle = this.#handle;
    await handle.run("sync", { op: "sync", fd: handle.fd, dataOnly: false });
  }

  /** Makes bytes and length durable (`fdatasync`). */
  async syncData(): Promise<void> {
    const handle = this.#handle;
    await handle.run("sync", { op: "sync", fd: handle.fd, dataOnly: true });
  }

  /**
   * Renames the file; one that is there is replaced. An atomic file gets this name when it is closed.
   *
   * @param to its new path, on the same file system
   */
  async rename(to: string | URL): Promise<void> {
    const target = pathText("to", to);
    const handle = this.#handle;
    const from = handle.path;
    handle.assertOpen("rename");
    if (handle.publication) {
      await demand("write", target);
      await assertReplaceable(handle.engine, target);
      // It has no name yet: this is the one that it will get, unless it has got one meanwhile.
      if (handle.publication) {
        handle.path = target;
        return;
      }
    }
    handle.assertNamed("rename");
    await demand("read", from);
    await demand("write", from);
    await demand("write", target);
    const { engine } = handle;
    const result = await handle.during(
      "rename",
      () =>
        run(engine, {
          op: "rename",
          directory: AT_FDCWD,
          name: from,
          targetDirectory: AT_FDCWD,
          targetName: target,
        }),
    );
    if (result < 0) throw renameError(-result, from, target);
    handle.path = target;
    handle.renames++;
    handle.nameVolatile = true;
  }

  /**
   * Removes the file's name. The file itself stays usable until it is closed. An atomic file has no name yet: it will
   * get none.
   */
  async remove(): Promise<void> {
    const handle = this.#handle;
    handle.assertOpen("remove");
    if (handle.publication) return await discardName(handle);
    handle.assertNamed("remove");
    await demand("write", handle.path);
    await removeName(handle, handle.path);
  }

  /**
   * Whether both are the same file on the same device, under whatever names.
   *
   * @param other another open file
   */
  isSameFile(other: DmaFile): boolean {
    if (!(other instanceof DmaFile)) {
      throw new TypeError(`Cannot compare with ${shown(other)}: other must be a DmaFile`);
    }
    const { device, inode } = other.#handle;
    return this.#handle.device === device && this.#handle.inode === inode;
  }

  /** A reader with defaults, the same one each time. When it ends it closes the file. */
  get readable(): DmaStreamReader {
    return this.#reader ??= new DmaStreamReader(this);
  }

  /** A writer with defaults, the same one each time. Closing it closes the file. */
  get writable(): DmaStreamWriter {
    return this.#writer ??= new DmaStreamWriter(this);
  }

  /**
   * Closes the file when the operations on it are done; the second call does nothing more. A writer that is still
   * open on it is given up, as by its `abort()`: close that instead. Nothing is made durable but an atomic file, which
   * gets its name here where it had no writer.
   */
  async close(): Promise<void> {
    const handle = this.#handle;
    // Without a writer it is closed from this moment on.
    if (handle.occupant) await handle.occupant.evict(closedError("write", handle.path));
    await closeFile(handle);
  }

  /** As {@linkcode DmaFile.prototype.close | DmaFile.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Shows what is known of the file in `console.log`.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](
    inspect: typeof Deno.inspect,
    options: Deno.InspectOptions,
  ): string {
    const { path, direct, alignment } = this;
    return `DmaFile ${inspect({ path, direct, alignment, closed: this.#handle.closed }, options)}`;
  }

  #checkRange(position: number, length: number): void {
    integer("position", position);
    integer("length", length);
    integer("position + length", position + length);
  }

  #checkAligned(name: string, value: number): void {
    const { alignment } = this.#handle;
    if (value % alignment === 0) return;
    throw new RangeError(`Invalid ${name} ${value}: it must be a multiple of ${alignment}`);
  }

  #assertReadable(): void {
    const handle = this.#handle;
    handle.assertOpen("read");
    if (!handle.readable) {
      throw ioError(Errno.EBADF, "read", handle.path, "it was opened without read");
    }
  }

  #assertWritable(op: string): void {
    const handle = this.#handle;
    handle.assertOpen(op);
    if (!handle.writable) {
      throw ioError(Errno.EBADF, op, handle.path, "it was opened without write");
    }
  }
}
