// The file that a transfer writes: opening it, writing the parts of a source, and closing it.
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../mod.ts";
import { Errno } from "../src/engine/linux.ts";
import { ioError } from "../src/errors.ts";
import { type AttributePlan, setAttributes } from "./attributes.ts";
import { Descriptor } from "./descriptor.ts";
import type { Part } from "./source.ts";
import type { TransferOptions } from "./transfer_options.ts";

export interface DestinationOptions extends TransferOptions {
  flushEvery: number;
  /** Bytes expected in all, or 0. */
  sizeHint: number;
  /** Mode, owner and times. */
  attributes: AttributePlan;
}

/** The path of a copy of `source`. If `dest` is a directory, the copy goes into it under the name of the source. */
export async function resolveDestination(dest: string, source: string): Promise<string> {
  const info = await Deno.stat(dest).catch(() => undefined);
  if (!info?.isDirectory) return dest;
  const [, name = ""] = /([^/]*)\/*$/.exec(source) ?? [];
  return `${dest.replace(/\/+$/, "")}/${name}`;
}

/** Throws if the path is a FIFO, a socket or a device. An attempt to open it would disturb the program at its other end. */
async function refuseSpecialFile(path: string): Promise<void> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined || info.isFile || info.isDirectory) return;
  throw ioError(Errno.EOPNOTSUPP, "open", path, "it is not a regular file");
}

/** An open file that takes the parts of a source. */
export class Destination {
  /** The path, as it was given. */
  readonly path: string;
  readonly file: DmaFile;
  /** The position of the first new byte. */
  readonly start: number;
  readonly #options: DestinationOptions;
  readonly #facts: Deno.FileInfo;
  #writer: DmaStreamWriter | undefined;
  /** Whether the last part was written to its end. */
  #isPartDone = true;
  /** Bytes of holes between the parts. */
  #holes = 0;
  /** Bytes of the hole after the last part. */
  #holeAtEnd = 0;

  private constructor(
    path: string,
    file: DmaFile,
    facts: Deno.FileInfo,
    options: DestinationOptions,
  ) {
    this.path = path;
    this.file = file;
    this.start = options.append ? facts.size : 0;
    this.#facts = facts;
    this.#options = options;
  }

  /** Opens the file, or creates it. */
  static async open(path: string, options: DestinationOptions): Promise<Destination> {
    await refuseSpecialFile(path);
    const { append, atomic = false, attributes, clobber = true, direct, verify } = options;
    const mode = attributes.creationMode;
    const open = (read: boolean) =>
      append
        ? DmaFile.open(path, { append: true, create: true, mode, read })
        : clobber
        ? DmaFile.create(path, { atomic, mode, direct, read })
        : DmaFile.open(path, { write: true, createNew: true, mode, direct, read });
    // As with cp, a file that this user may not read can be written.
    const file = await open(true).catch((error) => {
      if (verify || !(error instanceof Deno.errors.PermissionDenied)) throw error;
      return open(false);
    });
    const facts = await file.stat();
    // An existing file may have a wider mode.
    if (attributes.final && !atomic) new Descriptor(file).setMode(facts.mode! & mode);
    return new Destination(path, file, facts, options);
  }

  /** Whether the path leads to this file. An atomic file has its name already if the sync of its directory fails. */
  async isNamed(): Promise<boolean> {
    const { dev, ino } = this.#facts;
    const found = await Deno.lstat(this.path).catch(() => undefined);
    return found?.dev === dev && found.ino === ino;
  }

  /** Bytes of one buffer; null before the first part. */
  get bufferSize(): number | null {
    return this.#writer?.bufferSize ?? null;
  }

  /** Buffers in flight; null before the first part. */
  get writeBehind(): number | null {
    return this.#writer?.writeBehind ?? null;
  }

  /** Bytes of the source that were accepted, holes included. */
  get accepted(): number {
    return this.#lengthTo(this.#writer?.currentPos);
  }

  /** Bytes of the source that are in the file, holes included. */
  get written(): number {
    return this.#lengthTo(this.#writer?.currentFlushedPos);
  }

  /** Bytes of the source that are holes in the file. */
  get holes(): number {
    return this.#holes + this.#holeAtEnd;
  }

  #lengthTo(position = this.start): number {
    return Math.max(0, position - this.start) + this.#holeAtEnd;
  }

  /** Writes a part to its end, or until `signal` is aborted. */
  async take({ readable, position, isWhole }: Part, signal: AbortSignal): Promise<void> {
    const { flushEvery, sync } = this.#options;
    this.#holes += position - this.written;
    const writer = this.#writer = new DmaStreamWriter(
      this.file,
      this.#writerOptions(position, isWhole),
    );
    this.#isPartDone = false;
    using _flushing = flushRegularly(writer, flushEvery, sync);
    await readable.pipeTo(writer, { signal, preventAbort: true });
    this.#isPartDone = true;
  }

  #writerOptions(position: number, isWhole: boolean): DmaStreamWriterOptions {
    const { append = false, bufferSize, flushEvery, sizeHint, writeBehind } = this.#options;
    return {
      ...(append ? { append } : { position }),
      // Preallocation fills holes. It also moves the end of file ahead, so that a program that follows the file would read
      // zeros. A pipe gains nothing from it.
      preallocate: isWhole && !append && (flushEvery === 0 || sizeHint > 0),
      sizeHint,
      // keep() syncs and closes the file.
      syncOnClose: false,
      closeFile: false,
      ...(bufferSize === undefined ? {} : { bufferSize }),
      ...(writeBehind === undefined ? {} : { writeBehind }),
    };
  }

  /** Adds a hole at the end, so that the file has at least `length` bytes of the source. */
  async extend(length: number): Promise<void> {
    const hole = length - this.written;
    if (hole <= 0) return;
    await this.file.truncate(this.start + length);
    this.#holeAtEnd = hole;
  }

  /**
   * Keeps everything that was accepted: closes the file, and makes it durable.
   *
   * @param isWhole whether the file is complete: only then does it get its final mode, owner and times
   */
  async keep(isWhole: boolean): Promise<void> {
    try {
      if (!this.#isPartDone) await this.#writer!.close();
      await this.#completeHole();
      if (isWhole) await this.#setAttributes();
      // An empty writer makes bytes, length and name durable, publishes an atomic file, and closes it.
      const { sync } = this.#options;
      await new DmaStreamWriter(this.file, { append: true, syncOnClose: sync }).close();
    } catch (error) {
      await this.discard(error);
      throw error;
    }
  }

  /** Extends the file over the hole in front of a part of which no byte was written. */
  async #completeHole(): Promise<void> {
    if (this.#holes === 0) return;
    const end = this.start + this.written;
    if (await this.file.size() < end) await this.file.truncate(end);
  }

  async #setAttributes(): Promise<void> {
    const { attributes: { final }, sync } = this.#options;
    if (!final) return;
    const set = setAttributes(new Descriptor(this.file), final);
    if (!set && final.times) {
      throw new Error(`Cannot preserve mode and times in '${this.path}': another user owns it`);
    }
    if (sync) await this.file.sync();
  }

  /** Closes the file with the bytes that are in it. An atomic file is discarded. */
  async discard(reason: unknown): Promise<void> {
    await this.#writer?.abort(reason).catch(() => {});
    // close() alone would publish an atomic file.
    const finish = this.#options.atomic ? this.file.remove() : this.#completeHole();
    await finish.catch(() => {});
    await this.file.close().catch(() => {});
  }
}

/**
 * Writes everything that the writer has accepted, at intervals, until it is disposed: the bytes of a slow source are in the
 * file before a buffer is full.
 *
 * @param every the interval in milliseconds; 0: never
 * @param durable syncs too, which cuts off the padding of the last block
 */
function flushRegularly(
  writer: DmaStreamWriter,
  every: number,
  durable: boolean,
): Disposable | undefined {
  if (every === 0) return undefined;
  let flushed = writer.currentPos;
  let running = false;
  const flush = async () => {
    if (running || writer.currentPos === flushed) return;
    running = true;
    try {
      flushed = durable
        ? await writer.sync({ tail: true })
        : await writer.flushAligned({ tail: true });
    } catch {
      // The pipe into the writer reports the same error.
    } finally {
      running = false;
    }
  };
  const timer = setInterval(flush, every);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
