// Where the bytes of a transfer come from, and what is known of them beforehand.
import { DmaFile } from "../mod.ts";

/** A stream of bytes, and the file behind it where that can be told. */
export interface Source {
  /** The bytes. */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** The file that is read; absent where the permissions do not let one ask. */
  readonly info: Deno.FileInfo | undefined;
}

/** Standard input. A terminal, a pipe or a redirected file. */
export async function standardInput(): Promise<Source> {
  const path = "/dev/stdin";
  const info = await Deno.stat(path).catch(() => undefined);
  if (info) refuseDirectory(info, "read", path);
  return { readable: Deno.stdin.readable, info };
}

/** A file by its path: also a FIFO, a device, or /dev/stdin. Nothing is read before the stream is. */
export async function sourceOf(path: string): Promise<Source> {
  const info = await Deno.stat(path);
  refuseDirectory(info, "open", path);
  const { readable } = await open(path, info);
  // What it hands out is never shared memory, which the type leaves open.
  return { readable: readable as ReadableStream<Uint8Array<ArrayBuffer>>, info };
}

function refuseDirectory(info: Deno.FileInfo, op: string, path: string): void {
  if (!info.isDirectory) return;
  throw new Deno.errors.IsADirectory(`Is a directory (os error 21): ${op} '${path}'`);
}

async function open(path: string, info: Deno.FileInfo): Promise<DmaFile | Deno.FsFile> {
  if (!hasLength(info)) return await Deno.open(path);
  // DmaFile refuses what is no real file, as those of /sys, though they say that they are.
  return await DmaFile.open(path).catch(() => Deno.open(path));
}

// Files of /proc say 0 and are not empty.
function hasLength(info: Deno.FileInfo): boolean {
  return info.isFile && info.size > 0;
}

/** How many bytes will come, where the source is a file that has a length. */
export function sizeOf({ info }: Source): number | undefined {
  return info && hasLength(info) ? info.size : undefined;
}

/** Whether the source never keeps anybody waiting for long: a regular file, or a disk. */
export function comesInTime({ info }: Source): boolean {
  return info !== undefined && (info.isFile || info.isBlockDevice === true);
}

/** Throws where `dest` is the very file that is read: truncating it would lose it, appending to it would never end. */
export async function refuseSameFile(source: Source, dest: string): Promise<void> {
  const from = source.info;
  if (!from?.isFile) return;
  const to = await Deno.stat(dest).catch(() => undefined);
  if (to?.isFile && to.dev === from.dev && to.ino === from.ino) {
    throw new Error(`Cannot write to '${dest}': it is the file that is read`);
  }
}
