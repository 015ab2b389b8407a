// The source of a transfer: a file, a stream or standard input.
import { DmaFile, DmaStreamReader } from "../mod.ts";
import { dataRanges } from "./data_ranges.ts";
import { Descriptor, type Times } from "./descriptor.ts";
import type { DirectMode, SparseMode } from "./transfer_options.ts";

/** A stream of bytes. */
export type ByteStream = ReadableStream<Uint8Array<ArrayBuffer>>;

/** A range of a source that has data. */
export interface Part {
  /** The position of its first byte in the source. */
  readonly position: number;
  readonly readable: ByteStream;
  /** Whether the part is the whole source. */
  readonly isWhole: boolean;
}

/** The source of a transfer. */
export interface Source {
  /** The file that is read; absent without the permission to ask. */
  readonly info: Deno.FileInfo | undefined;
  /** The times of access and modification of a regular file. */
  readonly times?: Times | undefined;
  /** All parts, in order. The gaps between them, and behind the last one, are holes. */
  parts(sparse: SparseMode): AsyncIterable<Part>;
  /** The length with the hole at the end, after all parts were read. Only regular files have such holes. */
  length?(): Promise<number>;
  close(): Promise<void>;
}

/** A source that can only be read from beginning to end. */
export class StreamSource implements Source {
  readonly info: Deno.FileInfo | undefined;
  readonly #readable: ByteStream;

  constructor(readable: ByteStream, info?: Deno.FileInfo) {
    this.#readable = readable;
    this.info = info;
  }

  async *parts(): AsyncGenerator<Part> {
    yield { position: 0, readable: this.#readable, isWhole: true };
  }

  async close(): Promise<void> {
    // Rejects if the stream has failed or is locked: there is nothing left to cancel.
    await this.#readable.cancel().catch(() => {});
  }
}

/** A regular file, read with Direct I/O if its file system has it. */
class FileSource implements Source {
  readonly info: Deno.FileInfo;
  readonly #file: DmaFile;

  private constructor(file: DmaFile, info: Deno.FileInfo) {
    this.#file = file;
    this.info = info;
  }

  /** Resolves to undefined for a file of the kernel: files of /sys claim to be regular. */
  static async open(path: string, direct: DirectMode): Promise<FileSource | undefined> {
    try {
      const file = await DmaFile.open(path, { direct });
      return new FileSource(file, await file.stat());
    } catch (error) {
      if (error instanceof Deno.errors.NotSupported && direct !== "require") return undefined;
      throw error;
    }
  }

  get times(): Times | undefined {
    return Descriptor.of(this.#file).times;
  }

  async *parts(sparse: SparseMode): AsyncGenerator<Part> {
    if (sparse === "never") return yield this.#part(0);
    const { size } = this.info;
    let isEmpty = true;
    for await (const { start, end } of dataRanges(Descriptor.of(this.#file), size)) {
      isEmpty = false;
      // The last part has no end, so that appended bytes are read too.
      yield this.#part(start, end < size ? end : undefined);
    }
    if (isEmpty) yield this.#part(0, 0);
  }

  #part(position: number, end?: number): Part {
    const readable = new DmaStreamReader(this.#file, {
      start: position,
      closeFile: false,
      ...(end === undefined ? {} : { end }),
    });
    return { position, readable, isWhole: position === 0 && end === undefined };
  }

  async length(): Promise<number> {
    // Bytes that were appended meanwhile are no hole.
    return Math.min(this.info.size, await this.#file.size());
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Standard input: a terminal, a pipe or a redirected file. */
export async function standardInput(): Promise<Source> {
  const path = "/dev/stdin";
  const info = await Deno.stat(path).catch(() => undefined);
  if (info) refuseDirectory(info, "read", path);
  return new StreamSource(Deno.stdin.readable, info);
}

/** A file by its path: also a FIFO, a device, or /dev/stdin. It is read only when its stream is read. */
export async function sourceOf(path: string, direct: DirectMode = "prefer"): Promise<Source> {
  const info = await Deno.stat(path);
  refuseDirectory(info, "open", path);
  const file = hasLength(info) ? await FileSource.open(path, direct) : undefined;
  return file ?? new StreamSource((await Deno.open(path)).readable, info);
}

function refuseDirectory(info: Deno.FileInfo, op: string, path: string): void {
  if (!info.isDirectory) return;
  throw new Deno.errors.IsADirectory(`Is a directory (os error 21): ${op} '${path}'`);
}

// Files of /proc report the size 0 and are not empty.
function hasLength(info: Deno.FileInfo): boolean {
  return info.isFile && info.size > 0;
}

/** The number of bytes, if the source is a file with a length. */
export function sizeOf({ info }: Source): number | undefined {
  return info && hasLength(info) ? info.size : undefined;
}

/** Whether the source may pause: all but regular files and disks do. */
export function isSlow({ info }: Source): boolean {
  return info === undefined || !(info.isFile || info.isBlockDevice);
}

/** Throws if `dest` is the source itself: truncating would destroy it, and appending would never end. */
export async function refuseSameFile(source: Source, dest: string): Promise<void> {
  const from = source.info;
  if (!from?.isFile) return;
  const to = await Deno.stat(dest).catch(() => undefined);
  if (to?.isFile && to.dev === from.dev && to.ino === from.ino) {
    throw new Error(`Cannot write to '${dest}': it is the file that is read`);
  }
}
