// The source of a transfer: a file, a stream or standard input.
import { fstatSync } from "node:fs";
import { DmaFile, DmaStreamReader } from "../mod.ts";
import { Descriptor, SEEK_DATA, SEEK_HOLE, type Times } from "./descriptor.ts";
import type { DirectMode } from "./transfer_options.ts";

export type ByteStream = ReadableStream<Uint8Array<ArrayBuffer>>;

/** The facts that are used of a file. */
export type FileFacts = Pick<
  Deno.FileInfo,
  "dev" | "gid" | "ino" | "isBlockDevice" | "isDirectory" | "isFile" | "mode" | "size" | "uid"
>;

/** A range of a source that has data. */
export interface Part {
  /** The position of its first byte in the source. */
  readonly position: number;
  readonly readable: ByteStream;
  /** Whether the part is the whole source. */
  readonly isWhole: boolean;
}

export interface Source {
  /** The file that is read; absent for a stream of another kind. */
  readonly info: FileFacts | undefined;
  /** The times of access and modification of a regular file. */
  readonly times?: Times | undefined;
  /** All parts, in order. The gaps between them, and after the last one, are holes. */
  parts(sparse: "auto" | "never"): AsyncIterable<Part>;
  /** The length with the hole at the end, after all parts were read. Only regular files have such holes. */
  length?(): Promise<number>;
  close(): Promise<void>;
}

/** A source that can only be read from beginning to end. */
function streamSource(readable: ByteStream, info: FileFacts): Source {
  return {
    info,
    async *parts() {
      yield { position: 0, readable, isWhole: true };
    },
    // Rejects if the stream has failed or is locked: there is nothing left to cancel.
    close: () => readable.cancel().catch(() => {}),
  };
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
    return new Descriptor(this.#file).times;
  }

  async *parts(sparse: "auto" | "never"): AsyncGenerator<Part> {
    const { size } = this.info;
    // Some file systems report the size 0 for files that have content.
    if (sparse === "never" || size === 0) return yield this.#part(0);
    let isEmpty = true;
    for await (const { start, end } of dataRanges(new Descriptor(this.#file), size)) {
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

/**
 * The ranges with data in the first `size` bytes, in order: one range if the file system cannot tell. The rest is holes, which
 * read as zeros and take no space.
 */
async function* dataRanges(
  on: Descriptor,
  size: number,
): AsyncGenerator<{ start: number; end: number }> {
  for (let at = 0; at < size;) {
    const hole = await on.seek(at, SEEK_HOLE);
    if (hole === at) {
      const data = await on.seek(at, SEEK_DATA);
      if (data === undefined) {
        // If the search has failed, the rest is read.
        if (!on.endsInHole(at)) yield { start: at, end: size };
        return;
      }
      at = data;
      continue;
    }
    const end = hole === undefined ? size : Math.min(hole, size);
    yield { start: at, end };
    at = end;
  }
}

/** The file behind standard input (0) or output (1). `Deno.stat` would need a permission for /dev. */
function standardFile(descriptor: 0 | 1): FileFacts {
  const info = fstatSync(descriptor);
  return {
    ...info,
    isBlockDevice: info.isBlockDevice(),
    isDirectory: info.isDirectory(),
    isFile: info.isFile(),
  };
}

/** Standard input: a terminal, a pipe or a redirected file. */
export function standardInput(): Source {
  const info = standardFile(0);
  refuseDirectory(info, "read", "/dev/stdin");
  return streamSource(Deno.stdin.readable, info);
}

/** A file by its path: also a FIFO, a device, or /dev/stdin. It is read only when its stream is read. */
export async function sourceOf(path: string, direct: DirectMode = "prefer"): Promise<Source> {
  const info = await Deno.stat(path);
  refuseDirectory(info, "open", path);
  const file = info.isFile ? await FileSource.open(path, direct) : undefined;
  return file ?? streamSource((await Deno.open(path)).readable, info);
}

function refuseDirectory(info: FileFacts, op: string, path: string): void {
  if (!info.isDirectory) return;
  // The words of the C library would need --allow-ffi.
  const error = new Deno.errors.IsADirectory(`Is a directory (os error 21): ${op} '${path}'`);
  throw Object.assign(error, { code: "EISDIR" });
}

/** The number of bytes, if the source is a file with a length: files of /proc report the size 0 and are not empty. */
export function sizeOf({ info }: Source): number | undefined {
  return info?.isFile && info.size > 0 ? info.size : undefined;
}

/** Whether the source may pause: all but regular files and disks do. */
export function isSlow({ info }: Source): boolean {
  return info === undefined || !(info.isFile || info.isBlockDevice);
}

/**
 * Throws if `dest` is the source itself: truncating would destroy it, and appending would never end.
 *
 * @param dest a path; absent for standard output
 */
export async function refuseSameFile({ info }: Source, dest?: string): Promise<void> {
  if (!info?.isFile) return;
  const to = dest === undefined ? standardFile(1) : await Deno.stat(dest).catch(() => undefined);
  if (to?.isFile && to.dev === info.dev && to.ino === info.ino) {
    const name = dest === undefined ? "standard output" : `'${dest}'`;
    throw new Error(`Cannot write to ${name}: it is the file that is read`);
  }
}
