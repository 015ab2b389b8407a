// The kinds of file systems that a simulated kernel can have.

import type { Random } from "../random.ts";

/** The properties of a mounted file system that the module sees. */
export interface FileSystemKind {
  /** The number of the mount, unique among all kernels. */
  readonly mountId: bigint;
  readonly name: string;
  /** 0 without a block device, so that the module reads the type. */
  readonly deviceMajor: number;
  /** f_type of statfs(2). */
  readonly type: number;
  /** The server of its files in the list of mounts. It takes any position and length. */
  readonly server?: string;
  /** Whether the server answers early: a failed sync loses bytes of completed writes. */
  readonly answersEarly?: boolean;
  readonly hasDirectIo: boolean;
  /** STATX_DIOALIGN is answered. */
  readonly saysAlignment: boolean;
  readonly memoryAlignment: number;
  readonly alignment: number;
  readonly uniqueMountId: boolean;
  readonly lacks: ReadonlySet<Feature>;
}

const features = [
  /** O_TMPFILE. */
  "unnamed files",
  /** fallocate(2). */
  "allocate",
  /** FALLOC_FL_PUNCH_HOLE. */
  "punch",
  /** copy_file_range(2). */
  "copy",
  /** /proc. */
  "proc",
  /** linkat(2) with AT_EMPTY_PATH, without a capability: since kernel 6.10. */
  "link by descriptor",
  /** RESOLVE_CACHED of openat2(2). */
  "cached lookup",
  /** RWF_DONTCACHE. */
  "uncached writes",
  /** Whether transfers past the page cache work, if O_DIRECT can be set. */
  "direct transfers",
] as const;

export type Feature = typeof features[number];

const served = {
  deviceMajor: 0,
  type: 0x65735546,
  hasDirectIo: true,
  saysAlignment: false,
  memoryAlignment: 1,
  alignment: 1,
};

const disk = { deviceMajor: 254, type: 0xef53, hasDirectIo: true, saysAlignment: true };
const btrfs = { ...disk, deviceMajor: 0, type: 0x9123683e, saysAlignment: false };

const kinds: readonly Omit<FileSystemKind, "mountId" | "uniqueMountId" | "lacks">[] = [
  { name: "ext4 512", ...disk, memoryAlignment: 512, alignment: 512 },
  { name: "ext4 4096", ...disk, memoryAlignment: 4096, alignment: 4096 },
  { name: "xfs on NVMe", ...disk, memoryAlignment: 4, alignment: 512 },
  { name: "btrfs", ...btrfs, memoryAlignment: 4096, alignment: 4096 },
  { name: "tmpfs", ...disk, deviceMajor: 0, type: 0x01021994, memoryAlignment: 4, alignment: 512 },
  { name: "no Direct I/O", ...disk, hasDirectIo: false, memoryAlignment: 1, alignment: 1 },
  { name: "FUSE", ...served, server: "another" },
  { name: "s3fs", ...served, server: "s3fs", answersEarly: true },
  { name: "sshfs", ...served, server: "sshfs", answersEarly: true },
  { name: "GlusterFS", ...served, server: "glusterfs", answersEarly: true },
];

/** A common disk, without missing features. */
export const aDisk: FileSystemKind = {
  ...kinds[0]!,
  mountId: 0n,
  uniqueMountId: false,
  lacks: new Set(),
};

let lastMount = 0n;

/** A file system that may lack features. The common kind is the most frequent. */
export function drawFileSystem(random: Random): FileSystemKind {
  const kind = random.weighted(kinds.map((each, index) => [index === 0 ? 6 : 1, each] as const));
  const isLimited = random.chance(0.3);
  const lacks = new Set(features.filter(() => isLimited && random.chance(0.4)));
  // Without /proc the module cannot know that the server answers early.
  const answersEarly = kind.answersEarly === true && !lacks.has("proc");
  const uniqueMountId = random.chance(0.7);
  return { ...kind, mountId: ++lastMount, uniqueMountId, lacks, answersEarly };
}
