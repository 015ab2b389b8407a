// The kinds of file systems that a simulated kernel can have, and what statx(2) and statfs(2) say of them.

import { Statx } from "../../../src/engine/linux.ts";
import type { Random } from "../random.ts";
import type { Node } from "./directory_tree.ts";

const disk = {
  name: "ext4 512",
  /** 0 without a block device, so that the module reads the type. */
  deviceMajor: 254,
  /** f_type of statfs(2). */
  type: 0xef53,
  /** The server of its files in the list of mounts. It takes any position and length. */
  server: undefined as string | undefined,
  /** Whether the server answers early: a failed sync loses bytes of completed writes. */
  answersEarly: false,
  hasDirectIo: true,
  saysAlignment: true,
  memoryAlignment: 512,
  alignment: 512,
};

const silent = { ...disk, deviceMajor: 0, saysAlignment: false };
const served = { ...silent, type: 0x65735546, memoryAlignment: 1, alignment: 1 };

const kinds: readonly (typeof disk)[] = [
  disk,
  { ...disk, name: "ext4 4096", memoryAlignment: 4096, alignment: 4096 },
  { ...disk, name: "xfs on NVMe", memoryAlignment: 4 },
  { ...silent, name: "btrfs", type: 0x9123683e, memoryAlignment: 4096, alignment: 4096 },
  { ...disk, name: "tmpfs", deviceMajor: 0, type: 0x01021994, memoryAlignment: 4 },
  { ...disk, name: "no Direct I/O", hasDirectIo: false, memoryAlignment: 1, alignment: 1 },
  { ...served, name: "FUSE", server: "another" },
  { ...served, name: "s3fs", server: "s3fs", answersEarly: true },
  { ...served, name: "sshfs", server: "sshfs", answersEarly: true },
  { ...served, name: "GlusterFS", server: "glusterfs", answersEarly: true },
];

const features = [
  "unnamed files", // O_TMPFILE
  "allocate", // fallocate(2)
  "punch", // FALLOC_FL_PUNCH_HOLE
  "copy", // copy_file_range(2)
  "proc", // /proc
  "link by descriptor", // linkat(2) with AT_EMPTY_PATH, without a capability: since kernel 6.10
  "cached lookup", // RESOLVE_CACHED of openat2(2)
  "uncached writes", // RWF_DONTCACHE
  "direct transfers", // transfers past the page cache, if O_DIRECT can be set
] as const;

export type Feature = typeof features[number];

let lastMount = 0n;

/** A file system that may lack features, mounted. The common disk is the most frequent, and with `isPlain` the only one. */
export function drawFileSystem(random: Random, isPlain: boolean) {
  const drawn = random.weighted(kinds.map((each, index) => [index === 0 ? 6 : 1, each] as const));
  const isLimited = random.chance(0.3);
  const lacks = new Set(features.filter(() => isLimited && random.chance(0.4)));
  const uniqueMountId = random.chance(0.7);
  if (isPlain) lacks.clear();
  const kind = isPlain ? disk : drawn;
  // Without /proc the module cannot know that the server answers early.
  const answersEarly = kind.answersEarly && !lacks.has("proc");
  /** The number of the mount, unique among all kernels. */
  const mountId = ++lastMount;
  return { ...kind, mountId, uniqueMountId, lacks, answersEarly };
}

export type FileSystemKind = ReturnType<typeof drawFileSystem>;

/** Writes the fields of `struct statx` (include/uapi/linux/stat.h) that the module reads. */
export function writeStatx(into: Uint8Array, node: Node, kind: FileSystemKind): void {
  const view = new DataView(into.buffer, into.byteOffset, 256);
  into.fill(0, 0, 256);
  const { memoryAlignment, alignment } = kind;
  const mask = Statx.BASIC_STATS | Statx.MNT_ID | (kind.uniqueMountId ? Statx.MNT_ID_UNIQUE : 0) |
    (kind.saysAlignment ? Statx.DIOALIGN : 0);
  view.setUint32(0, mask, true);
  view.setUint32(4, alignment, true);
  view.setUint32(16, node.links, true);
  view.setUint16(28, node.isDirectory ? 0o040755 : 0o100644, true);
  view.setBigUint64(32, BigInt(node.inode), true);
  view.setBigUint64(40, BigInt(node.size), true);
  view.setBigUint64(48, BigInt(Math.ceil(node.size / 512)), true);
  view.setUint32(136, kind.deviceMajor, true);
  view.setUint32(140, 1, true);
  view.setBigUint64(144, kind.mountId, true);
  if (!kind.saysAlignment) return;
  view.setUint32(152, kind.hasDirectIo ? memoryAlignment : 0, true);
  view.setUint32(156, kind.hasDirectIo ? alignment : 0, true);
}

/** Writes f_type and f_blocks of `struct statfs`. Only kernel views have no blocks. */
export function writeStatfs(into: Uint8Array, kind: FileSystemKind): void {
  into.fill(0, 0, 120);
  const view = new DataView(into.buffer, into.byteOffset, 24);
  view.setUint32(0, kind.type, true);
  view.setBigUint64(16, 1n << 20n, true);
}
