// Constants of the kernel's interface, from include/uapi. Differences between x86_64 and aarch64 are noted.

const ARM = Deno.build.arch === "aarch64";

/** The error numbers that the code compares (asm-generic/errno-base.h, errno.h). src/errors.ts has all of them. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  ENOSYS: 38,
  ELOOP: 40,
  EOVERFLOW: 75,
  EBADFD: 77,
  EOPNOTSUPP: 95,
  ETIMEDOUT: 110,
  EDQUOT: 122,
  ECANCELED: 125,
} as const;

export function errnos(...names: (keyof typeof Errno)[]): ReadonlySet<number> {
  return new Set(names.map((name) => Errno[name]));
}

/** Flags of open(2). */
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DIRECT: number = ARM ? 0o200000 : 0o40000;
export const O_DIRECTORY: number = ARM ? 0o40000 : 0o200000;
export const O_NOFOLLOW: number = ARM ? 0o100000 : 0o400000;
export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
export const O_TMPFILE: number = 0o20000000 | O_DIRECTORY;

/** openat2(2): follow no link in /proc, which may lead to a mount of another process: ELOOP. Since kernel 5.6. */
export const RESOLVE_NO_MAGICLINKS = 0x02;
/** openat2(2): fail with EAGAIN if the path is not in the kernel's cache. Since kernel 5.12. */
export const RESOLVE_CACHED = 0x20;

/** Stands for the working directory in the `*at` calls. */
export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_EMPTY_PATH = 0x1000;
/** statx(2): answer from the kernel's memory. */
export const AT_STATX_DONT_SYNC = 0x4000;

/** The fields that every statx(2) of this module requests (`STATX_...`). */
export const Statx = {
  BASIC_STATS: 0x7ff,
  BTIME: 0x800,
  MNT_ID: 0x1000,
  DIOALIGN: 0x2000,
  /** Since kernel 6.8: an identifier of the mount that no other mount ever gets. */
  MNT_ID_UNIQUE: 0x4000,
  /** Since kernel 6.11. */
  WRITE_ATOMIC: 0x10000,
} as const;
export const STATX_MASK: number = Object.values(Statx).reduce((mask, field) => mask | field, 0);
export const STATX_BYTES = 256;
/** Bits of `stx_attributes` (`STATX_ATTR_...`). */
export const Attribute = { IMMUTABLE: 0x10, APPEND: 0x20, MOUNT_ROOT: 0x2000 } as const;
/** Of a directory: only its owner and a file's owner may remove or replace the file (S_ISVTX). */
export const S_ISVTX = 0o1000;

/** pwritev2(2): drop the pages when they are written. Since kernel 6.14, if the file system supports it. */
export const RWF_DONTCACHE = 0x80;
/** The write, and the metadata that is needed to read it back, are durable when it ends. */
export const RWF_DSYNC = 0x2;
/** The write is complete or undone, also after a power cut. Since kernel 6.13 on ext4 and xfs. */
export const RWF_ATOMIC = 0x40;

export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;

export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;

export const EFD_CLOEXEC = 0o2000000;

/** The longest path that the kernel takes, with its NUL. */
export const PATH_MAX = 4096;
/** The most bytes that one read or write moves (MAX_RW_COUNT), down to a multiple of any alignment. */
export const MAX_TRANSFER = 0x7fff0000;

/** Numbers of operations: `enum io_uring_op`, which the shim's blocking calls share. */
export const Opcode = {
  NOP: 0,
  FSYNC: 3,
  READ_FIXED: 4,
  WRITE_FIXED: 5,
  FALLOCATE: 17,
  OPENAT: 18,
  CLOSE: 19,
  STATX: 21,
  READ: 22,
  WRITE: 23,
  RENAMEAT: 35,
  UNLINKAT: 36,
  LINKAT: 39,
  /** Since kernel 6.9. */
  FTRUNCATE: 55,
  // From here on only the shim's blocking calls know them.
  READLINK: 256,
  EVENTFD: 257,
  FLOCK: 258,
  COPY_RANGE: 259,
  STATFS: 260,
  AWAIT_SIGNAL: 261,
  UNAME: 262,
  SIGNAL: 263,
  OPENAT2: 264,
  FCNTL: 265,
  IS_MAIN_THREAD: 266,
  WAIT_RING: 267,
  /** name_to_handle_at(2), of a descriptor or of a directory whose path is in the kernel's cache. */
  IDENTIFY: 268,
  /** statx(2) of a name that is in the kernel's cache. */
  STATX_CACHED: 269,
  /** statx(2) of a descriptor, and close(2) if the file has a name and is small. */
  CLOSE_SMALL: 270,
  /** fallocate(2), if it needs no more than a part of the free space; otherwise ENOSPC. */
  RESERVE: 271,
  REOPEN: 272,
} as const;
export const IOSQE_ASYNC: number = 1 << 4;
export const IORING_FSYNC_DATASYNC = 1;

/** Flags of io_uring_setup(2) (`IORING_SETUP_...`). */
export const Setup = {
  CLAMP: 1 << 4,
  TASKRUN_FLAG: 1 << 9,
  SINGLE_ISSUER: 1 << 12,
  DEFER_TASKRUN: 1 << 13,
} as const;
export const IO_URING_OP_SUPPORTED = 1;
