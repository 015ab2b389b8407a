// System calls that neither DmaFile nor Deno has: on an open file for mode, owner, times, holes and cache; the flags of a path.
import { openLibc } from "../ffi/library.ts";
import { descriptorNumber, type DmaFile } from "../src/dma_file.ts";

const symbols = {
  // Both architectures pass variadic arguments like fixed ones. Older C libraries lack statx().
  syscall: {
    parameters: [
      /* number */ "i64",
      /* directory */ "i64",
      /* path */ "buffer",
      /* flags */ "i64",
      /* mask */ "i64",
      /* result */ "buffer",
    ],
    result: "i64",
  },
  fchmod: { parameters: [/* fd */ "i32", /* mode */ "u32"], result: "i32" },
  fchown: { parameters: [/* fd */ "i32", /* owner */ "u32", /* group */ "u32"], result: "i32" },
  posix_fadvise: {
    parameters: [/* fd */ "i32", /* offset */ "i64", /* length */ "i64", /* advice */ "i32"],
    result: "i32",
  },
  lseek: {
    parameters: [/* fd */ "i32", /* offset */ "i64", /* whence */ "i32"],
    result: "i64",
    nonblocking: true,
  },
  seekNow: {
    name: "lseek",
    parameters: [/* fd */ "i32", /* offset */ "i64", /* whence */ "i32"],
    result: "i64",
  },
  __errno_location: { parameters: [], result: "pointer" },
  futimens: { parameters: [/* fd */ "i32", /* access and change */ "buffer"], result: "i32" },
  open: { parameters: [/* path */ "buffer", /* flags */ "i32"], result: "i32" },
  ioctl: { parameters: [/* fd */ "i32", /* request */ "u64", /* flags */ "buffer"], result: "i32" },
  close: { parameters: [/* fd */ "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Libc = Deno.DynamicLibrary<typeof symbols>["symbols"];

const SYS_STATX = { x86_64: 332, aarch64: 291 };
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BYTES = 256;
const NO_PATH = new Uint8Array(1);
/** lseek(2): finds the next data, or the next hole. The end of the file counts as a hole. */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
/** lseek(2) from a hole at the end: no data follows. */
const ENXIO = 6;
const POSIX_FADV_DONTNEED = 4;
/** fchown(2): does not change this identifier. */
const UNCHANGED = 0xffffffff;

/** Times of access and modification, as `struct timespec[2]`. */
export type Times = BigInt64Array<ArrayBuffer>;

let libc: Libc | undefined;

/** The descriptor of an open file. It is borrowed: it is valid while the file is open. */
export class Descriptor {
  readonly #fd: number;
  readonly #libc: Libc;

  constructor(file: DmaFile) {
    this.#libc = libc ??= openLibc(symbols);
    this.#fd = descriptorNumber(file);
  }

  /** The position of the next data or hole; undefined if there is no data, or if lseek fails. */
  async seek(
    position: number,
    whence: typeof SEEK_DATA | typeof SEEK_HOLE,
  ): Promise<number | undefined> {
    // This moves the position of the descriptor, which this module never uses.
    const found = Number(await this.#libc.lseek(this.#fd, BigInt(position), whence));
    return found < 0 ? undefined : found;
  }

  /** Whether no data follows `position`. Runs on this thread, because each thread has its own error number. */
  endsInHole(position: number): boolean {
    const { seekNow, __errno_location } = this.#libc;
    if (seekNow(this.#fd, BigInt(position), SEEK_DATA) >= 0) return false;
    return new Deno.UnsafePointerView(__errno_location()!).getInt32() === ENXIO;
  }

  /** Drops the clean pages of the file from the page cache, so that the next read goes to the disk. */
  dropCache(): void {
    this.#libc.posix_fadvise(this.#fd, 0n, 0n, POSIX_FADV_DONTNEED);
  }

  /** Sets the permission bits, without the umask. Returns whether that was allowed. */
  setMode(mode: number): boolean {
    return this.#libc.fchmod(this.#fd, mode) === 0;
  }

  /** Sets owner or group or both. Returns whether that was allowed. */
  setOwner({ uid = UNCHANGED, gid = UNCHANGED }: { uid?: number; gid?: number }): boolean {
    return this.#libc.fchown(this.#fd, uid, gid) === 0;
  }

  /** Times of access and modification, in nanoseconds. */
  get times(): Times | undefined {
    const stat = statx(this.#libc, this.#fd);
    if (!stat) return undefined;
    const time = (at: number) => [stat.getBigInt64(at, true), BigInt(stat.getUint32(at + 8, true))];
    return new BigInt64Array([...time(64), ...time(112)]);
  }

  /** Sets both times. Returns whether that was allowed. */
  setTimes(times: Times): boolean {
    return this.#libc.futimens(this.#fd, new Uint8Array(times.buffer)) === 0;
  }
}

/** A `struct statx`, whose layout is the same everywhere. */
function statx(libc: Libc, fd: number): DataView | undefined {
  const result = new Uint8Array(STATX_BYTES);
  const number = BigInt(SYS_STATX[Deno.build.arch]);
  const failed = libc.syscall(
    number,
    BigInt(fd),
    NO_PATH,
    BigInt(AT_EMPTY_PATH),
    BigInt(STATX_BASIC_STATS),
    result,
  );
  return failed === 0n ? new DataView(result.buffer) : undefined;
}

// ---- flags of a path -------------------------------------------------------------------------------------------

const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;
/** From linux/fs.h: the same on x86_64 and aarch64. */
const FS_IOC_GETFLAGS = 0x80086601n;
const FS_NOCOW_FL = 0x00800000;

/**
 * Whether a file, or a new file in a directory, is written in place (chattr +C): btrfs computes no checksums then.
 * Null if the flags cannot be read.
 */
export function isNoCow(path: string): boolean | null {
  const flags = new Uint32Array(2);
  try {
    const { open, ioctl, close } = libc ??= openLibc(symbols);
    const fd = open(new TextEncoder().encode(`${path}\0`), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return null;
    const result = ioctl(fd, FS_IOC_GETFLAGS, new Uint8Array(flags.buffer));
    close(fd);
    return result < 0 ? null : (flags[0]! & FS_NOCOW_FL) !== 0;
  } catch {
    return null;
  }
}
