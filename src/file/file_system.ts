// The known file systems, by their type from statfs(2). One without a row gets the safest treatment.

import { run } from "../engine/engine.ts";
import { Errno } from "../engine/linux.ts";
import { u32, u64 } from "../engine/struct.ts";
import { ioError, unwrap } from "../errors.ts";
import { findServer } from "./proc.ts";
import type { Handle, StatFacts } from "./stat.ts";

/** A file system of the kernel on a disk. */
export const DISK = {
  name: "a file system on a disk",
  /** The device number and the inode number identify a file while it is open. */
  identifiesFiles: true,
  /** Files are in memory: O_DIRECT may be accepted, but has no effect. */
  inMemory: false,
  /** Direct I/O is trusted only if statx(2) reports its alignment. */
  directWhereSaid: false,
  /** Direct I/O takes any position and length: no padding is written, so none has to be cut. */
  exactTails: false,
  /** Writes that extend a file run one after the other: a server may refuse them in another order. */
  extendsInOrder: false,
  /**
   * When a writer reserves space. "ahead": before its writes, because those that extend a file may run alone, as on ext4.
   * "hinted": only for a size hint, because a write that extends a file costs no more than any other. "never": fallocate(2)
   * reserves nothing for later writes, or a truncate does not free it, and such a write costs no more either.
   */
  reserves: "ahead" as "ahead" | "hinted" | "never",
  /** A truncate takes effect even if earlier writes are not synced. */
  cutsDirty: true,
  /**
   * A write may end before the server has the bytes, and fail later; only a sync shows that. The number of bytes after
   * which a sync confirms the writes; 0 if a completed write is in the file.
   */
  confirmAfter: 0,
  /** An existing file may open for writing, and refuse every write. */
  mayWriteOnce: false,
  /** A read that is submitted to the ring may wait for other blocks of the disk. */
  readWaits: false,
  /** close(2) may wait for the disk, or for a server. */
  closeWaits: false,
  /** statx(2) may wait for a server, even with AT_STATX_DONT_SYNC. */
  statWaits: false,
  /**
   * Neither another machine nor a program serves the files. If one does, a submission to the ring may wait for it, so every
   * call runs on a thread; a file without a name (O_TMPFILE) may lose a name that it gets; and a write with RWF_DSYNC may
   * end before it is durable.
   */
  isLocal: true,
  /** flock(2) returns EACCES instead of EWOULDBLOCK if another process holds the lock. */
  deniesHeldLock: false,
};

export type FileSystem = Readonly<typeof DISK>;

/** Reserved space would be memory, which other programs may need before the bytes arrive, and gain nothing. */
const MEMORY: FileSystem = { ...DISK, inMemory: true, reserves: "never" };

/**
 * Files are on a server. A server that does not answer must not block other files.
 *
 * - `isLocal`: NFS opens within the submission to a ring: seen with kernel 6.12, the event loop stood still for as long as
 *   one request took. SMB and 9p did not.
 * - `identifiesFiles`: a server may reuse the inode number of an open file.
 * - `exactTails`: Direct I/O takes any position and length (NFS: open(2); SMB and 9p: seen).
 */
const NETWORK: FileSystem = {
  ...DISK,
  identifiesFiles: false,
  exactTails: true,
  reserves: "never",
  closeWaits: true,
  isLocal: false,
};

/**
 * A program serves the files.
 *
 * - `isLocal`: regular files of FUSE can be polled (fuse_file_poll), so io_uring takes them for files that do not block,
 *   and the submission waits for the server. Seen: timers run 2 to 4 % of the time at 20 ms a request. If a server asks for
 *   FOPEN_DIRECT_IO without FUSE_ASYNC_DIO, io_uring continues a short transfer at the position where it began. Seen with
 *   kernel 6.18: bytes are wrong. JuiceFS drops a file of O_TMPFILE after linkat(2) and close(2).
 * - `extendsInOrder`: Mountpoint for Amazon S3 and goofys refuse writes out of order. The kernel lets only one write at a
 *   time extend a file, but not in the order of the calls.
 * - `exactTails`: a server may refuse to cut padding (rclone without a cache: EPERM).
 * - `cutsDirty`: s3fs ignores a truncate of a file that is not synced: seen, 8,192 bytes stay 8,192.
 * - `reserves`: reserved space has to be cut off.
 */
const FUSE: FileSystem = {
  ...NETWORK,
  name: "FUSE",
  extendsInOrder: true,
  cutsDirty: false,
};

/** v9fs_vfs_getattr_dotl ignores AT_STATX_DONT_SYNC: seen, the event loop stood still. */
const V9FS: FileSystem = { ...NETWORK, name: "9p", statWaits: true };

/** For a file that was changed cifs_getattr ignores AT_STATX_DONT_SYNC. */
const CIFS: FileSystem = { ...NETWORK, name: "CIFS", statWaits: true, deniesHeldLock: true };

/**
 * On a disk, without a row, and with no alignment reported. FAT with the mount option `flush` writes at a close
 * (fat_file_release). A snapshot of nilfs2 has the numbers of its original.
 */
const OTHER_DISK: FileSystem = { ...DISK, identifiesFiles: false, closeWaits: true };

/** A file system without a row. One that reports no blocks is a view of the kernel (simple_statfs). */
const UNKNOWN: FileSystem = {
  ...NETWORK,
  name: "an unknown file system",
  cutsDirty: false,
  statWaits: true,
};

/** Seen with each of these servers: on a full disk, bytes of completed writes were not in the file. */
const EARLY: Partial<FileSystem> = { confirmAfter: 16 << 20 };

/** The properties of FUSE servers, by the name that {@linkcode findServer} returns. */
const SERVERS: ReadonlyMap<string, Partial<FileSystem>> = new Map([
  ["ceph-fuse", EARLY],
  ["glusterfs", EARLY],
  ["juicefs", EARLY],
  ["mfs", EARLY],
  ["seaweedfs", EARLY],
  // Each sync sends the whole file again, so only a waiting caller causes one.
  ["s3fs", { confirmAfter: Infinity }],
  ["sshfs", EARLY],
  // Without a cache a file is read or written as a whole. Seen: reading through a descriptor for both gives EPERM.
  ["rclone", { name: "rclone", mayWriteOnce: true }],
]);

const TABLE: ReadonlyMap<number, FileSystem> = new Map([
  [0xef53, { ...DISK, name: "ext4" }],
  [0x58465342, { ...DISK, name: "xfs" }],
  [0xf2f52010, { ...DISK, name: "f2fs" }],
  // Its device number is like that of a network file system. A block is copied when it is written. A snapshot has the
  // numbers of its original.
  [0xca451a4e, { ...DISK, name: "bcachefs", identifiesFiles: false, reserves: "hinted" }],
  // A later write does not use the space that fallocate(2) reserved, and the reservation stays.
  // The submission of a read waits for the extents and the checksums (btrfs_lookup_bio_sums), and for a sync of the file.
  [0x9123683e, { ...DISK, name: "btrfs", reserves: "never", readWaits: true }],
  // O_DIRECT is accepted over tmpfs too: seen with kernel 6.18. Its upper layer is never FUSE (the kernel refuses that), and
  // its files cannot be polled, so io_uring passes blocking calls to its kernel threads. But a lower layer may be, as the
  // image of a container that is fetched on demand: its server is asked when a file is opened or closed.
  [0x794c7630, { ...DISK, name: "overlay", directWhereSaid: true, closeWaits: true }],
  [0x01021994, { ...MEMORY, name: "tmpfs" }],
  [0x858458f6, { ...MEMORY, name: "ramfs" }],
  [0x65735546, FUSE],
  [0x6969, { ...NETWORK, name: "NFS" }],
  [0x01021997, V9FS],
  [0x00c36400, { ...NETWORK, name: "CephFS", exactTails: false }],
  [0xff534d42, CIFS],
  [0xfe534d42, CIFS],
]);

/** Views of the kernel that report blocks: efivarfs, and hugetlbfs, whose files cannot be written to. */
const VIEWS: ReadonlySet<number> = new Set([0xde5e81e4, 0x958458f6]);

/** The file systems of mounts whose identifier no other mount ever gets. */
const known = new Map<number | bigint | undefined, FileSystem>();

/**
 * The file system of an open file or directory. Sets whether its device is local. Throws for a view of the kernel, such
 * as proc, whose files store nothing.
 */
export async function fileSystemOf(handle: Handle, facts: StatFacts): Promise<FileSystem> {
  // FUSE may be on a block device (fuseblk), but never reports an alignment.
  const isDisk = facts.deviceMajor !== 0 && facts.directMemory !== undefined;
  const found = isDisk ? DISK : known.get(facts.uniqueMountId);
  const fileSystem = found ?? await findFileSystem(handle, facts);
  const device = handle.engine.deviceOf(handle.fd);
  if (device) device.isLocal = fileSystem.isLocal;
  return fileSystem;
}

async function findFileSystem(handle: Handle, facts: StatFacts): Promise<FileSystem> {
  const { type, hasBlocks } = await statfs(handle);
  const shown = TABLE.get(type) ?? (facts.deviceMajor !== 0 ? OTHER_DISK : UNKNOWN);
  // 9p shows the type of its server's file system (v9fs_statfs), but never a time of birth.
  const mayBeV9fs = facts.deviceMajor === 0 && !facts.hasBirthTime;
  const server = shown === FUSE || mayBeV9fs ? await findServer(handle, facts) : undefined;
  const row = server === V9FS.name ? V9FS : shown;
  if (VIEWS.has(type) || (row === UNKNOWN && !hasBlocks)) {
    const why = "a kernel file is not a regular file";
    throw ioError(Errno.EOPNOTSUPP, "open", handle.path, why);
  }
  const ofServer = row === FUSE ? SERVERS.get(server ?? "") : undefined;
  const fileSystem = { ...row, ...ofServer };
  if (facts.uniqueMountId !== undefined) known.set(facts.uniqueMountId, fileSystem);
  return fileSystem;
}

async function statfs({ engine, fd, path }: Handle) {
  const memory = engine.acquire(128);
  try {
    const result = await run(engine, { op: "statfs", fd, memory });
    // `unload` unmaps the memory before the promise is settled.
    unwrap(memory.bytes.length > 0 ? result : -Errno.EBADFD, "statfs", path);
    // struct statfs: f_type, f_bsize, f_blocks ...; 64 bits each.
    return { type: u32(memory.bytes, 0), hasBlocks: u64(memory.bytes, 16) > 0 };
  } finally {
    engine.release(memory);
  }
}

/** An explanation of a server's refusal, with the remedy; empty if the error is clear. */
export function explain({ name, isLocal }: FileSystem, errno: number): string {
  // Servers refuse truncates, and writes that do not follow the last one, by these errors.
  if (isLocal || (errno !== Errno.EPERM && errno !== Errno.ESPIPE)) return "";
  return `this ${name} server writes files from start to end only: mount it with a cache (rclone: --vfs-cache-mode writes)`;
}

/** Whether a file may be longer than its reported length: a server that does not know the length reports 0. */
export function mayBeLonger({ isLocal }: FileSystem, size: number): boolean {
  return !isLocal && size === 0;
}
