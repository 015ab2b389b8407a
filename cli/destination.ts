// The file that a transfer writes: how it is opened, and how it ends.
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../mod.ts";
import { type AttributePlan, setAttributes } from "./attributes.ts";
import { Descriptor } from "./descriptor.ts";
import { flushRegularly } from "./flush_timer.ts";
import type { Part } from "./source.ts";
import type { TransferOptions } from "./transfer_options.ts";

/** How the file is written. */
export interface DestinationOptions extends TransferOptions {
  flushEvery: number;
  /** Bytes expected in all; 0 where nobody knows. */
  sizeHint: number;
  /** Mode, owner and times. */
  attributes: AttributePlan;
}

/** The file that is written where a copy of `source` to `dest` is asked for: in a directory it has the name of its source. */
export async function resolveDestination(dest: string, source: string): Promise<string> {
  const info = await Deno.stat(dest).catch(() => undefined);
  if (!info?.isDirectory) return dest;
  const [, name = ""] = /([^/]*)\/*$/.exec(source) ?? [];
  return `${dest.replace(/\/+$/, "")}/${name}`;
}

/** An open file that takes the parts of a source. */
export class Destination {
  /** As it was given. */
  readonly path: string;
  /** The file. */
  readonly file: DmaFile;
  /** Where its first new byte goes. */
  readonly start: number;
  readonly #options: DestinationOptions;
  #writer: DmaStreamWriter | undefined;
  /** Whether the last part came to its end. */
  #isPartDone = true;
  /** Bytes of holes between the parts, and behind the last one. */
  #holes = 0;
  #holeAtEnd = 0;

  private constructor(path: string, file: DmaFile, start: number, options: DestinationOptions) {
    this.path = path;
    this.file = file;
    this.start = start;
    this.#options = options;
  }

  /** Opens the file, and makes it where there is none. */
  static async open(path: string, options: DestinationOptions): Promise<Destination> {
    const { append, atomic = false, attributes, clobber = true, direct } = options;
    const mode = attributes.creationMode;
    const file = append
      ? await DmaFile.open(path, { write: true, create: true, mode, direct })
      : clobber
      ? await DmaFile.create(path, { atomic, mode, direct })
      : await DmaFile.open(path, { write: true, createNew: true, mode, direct });
    const { size, ...info } = await file.stat();
    // A file that was there has the mode that it had.
    if (attributes.final && !atomic) Descriptor.of(info).setMode(info.mode! & mode);
    return new Destination(path, file, append ? size : 0, options);
  }

  /** How it is written; null where nothing was. */
  get bufferSize(): number | null {
    return this.#writer?.bufferSize ?? null;
  }

  /** Likewise. */
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

  /** Bytes of the source that are holes, and take no space. */
  get holes(): number {
    return this.#holes + this.#holeAtEnd;
  }

  #lengthTo(position = this.start): number {
    return Math.max(0, position - this.start) + this.#holeAtEnd;
  }

  /** Takes a part to its end, or until `signal`. */
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
      // Holes must not be filled. Others follow a log, and what comes slowly: its end stays where its bytes end. A pipe is
      // no slower for it.
      preallocate: isWhole && !append && (flushEvery === 0 || sizeHint > 0),
      sizeHint,
      // Everything else about the file comes first.
      syncOnClose: false,
      closeFile: false,
      ...(bufferSize === undefined ? {} : { bufferSize }),
      ...(writeBehind === undefined ? {} : { writeBehind }),
    };
  }

  /** Has a hole at the end make it `length` bytes long, where it is shorter. */
  async extend(length: number): Promise<void> {
    const hole = length - this.written;
    if (hole <= 0) return;
    await this.file.truncate(this.start + length);
    this.#holeAtEnd = hole;
  }

  /**
   * Keeps everything that was accepted: closes the file, and makes it durable.
   *
   * @param isWhole it is all of the source: only then it gets the mode and the times that it is to have
   */
  async keep(isWhole: boolean): Promise<void> {
    try {
      if (!this.#isPartDone) await this.#writer!.close();
      if (isWhole) await this.#setAttributes();
      // A writer that writes nothing makes bytes, length and name durable, gives an atomic file its name, and closes it.
      const { sync } = this.#options;
      await new DmaStreamWriter(this.file, { append: true, syncOnClose: sync }).close();
    } catch (error) {
      await this.discard(error);
      throw error;
    }
  }

  async #setAttributes(): Promise<void> {
    const { attributes: { final }, sync } = this.#options;
    if (!final) return;
    const set = setAttributes(Descriptor.of(await this.file.stat()), final);
    if (!set && final.times) {
      throw new Error(`Cannot preserve mode and times in '${this.path}': another user owns it`);
    }
    if (sync) await this.file.sync();
  }

  /** Closes the file as it is. An atomic file vanishes. */
  async discard(reason: unknown): Promise<void> {
    await this.#writer?.abort(reason).catch(() => {});
    // Closing an atomic file that no writer is on would give it its name.
    if (this.#options.atomic) await this.file.remove().catch(() => {});
    await this.file.close().catch(() => {});
  }
}
