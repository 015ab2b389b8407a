// The flags of a file that lsattr shows. Deno has no call for them.
import { openLibc } from "../ffi/library.ts";

const O_RDONLY = 0;
const O_CLOEXEC = 0o2000000;
/** From linux/fs.h: the same on x86_64 and aarch64. */
const FS_IOC_GETFLAGS = 0x80086601n;
const FS_NOCOW_FL = 0x00800000;

const symbols = {
  open: { parameters: [/* path */ "buffer", /* flags */ "i32"], result: "i32" },
  // Both architectures pass variadic arguments like fixed ones.
  ioctl: { parameters: [/* fd */ "i32", /* request */ "u64", /* flags */ "buffer"], result: "i32" },
  close: { parameters: [/* fd */ "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Whether a file, or a new file in a directory, is written in place (chattr +C): btrfs computes no checksums then.
 * Null if the flags cannot be read.
 */
export function isNoCow(path: string): boolean | null {
  const flags = new Uint32Array(2);
  try {
    const { open, ioctl, close } = openLibc(symbols);
    const fd = open(new TextEncoder().encode(`${path}\0`), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return null;
    const result = ioctl(fd, FS_IOC_GETFLAGS, new Uint8Array(flags.buffer));
    close(fd);
    return result < 0 ? null : (flags[0]! & FS_NOCOW_FL) !== 0;
  } catch {
    return null;
  }
}
