// What is known of file systems, by the type that statfs(2) gives.

import { type Engine, run } from "../engine/engine.ts";
import { unwrap } from "../errors.ts";
import type { StatFacts } from "./stat.ts";

const FUSE = 0x65735546;

/** File systems that live in memory: O_DIRECT may open there, and means nothing. */
const IN_MEMORY: ReadonlySet<number> = new Set([
  0x01021994, // tmpfs
  0x858458f6, // ramfs
]);

/** File systems on which a write that extends a file is like any other, so that reserving gains nothing. */
const EXTENDS_FREELY: ReadonlySet<number> = new Set([
  ...IN_MEMORY,
  0x9123683e, // btrfs
  FUSE,
  0x6969, // NFS
]);

/**
 * File systems that store and may report no blocks: tmpfs without a limit, ramfs, and servers that do not answer statfs.
 * Of all others those without blocks are views of the kernel (simple_statfs in fs/libfs.c): proc, sysfs, nsfs, cgroup,
 * and whatever a kernel adds to them. So an unknown one opens where it has blocks, and is refused where it has none.
 */
const MAY_HAVE_NO_BLOCKS: ReadonlySet<number> = new Set([
  ...IN_MEMORY,
  FUSE,
  0x01021997, // 9p
]);

/** Views of the kernel that report blocks all the same. */
const STORES_NOTHING: ReadonlySet<number> = new Set([
  0xde5e81e4, // efivarfs
  0x958458f6, // hugetlbfs, whose files cannot be written to
]);

/** What decides how a file is opened and written. */
export interface FileSystem {
  /** Whether what is written there is kept: false for views of the kernel. */
  readonly stores: boolean;
  readonly inMemory: boolean;
  readonly extendsFreely: boolean;
}

/** A file system on a block device: none of those is special here. */
const ON_BLOCK_DEVICE: FileSystem = { stores: true, inMemory: false, extendsFreely: false };

/** What was found, by mount, for mounts whose identifier no other mount ever gets. */
const known = new Map<bigint, FileSystem>();

/** The file system of an open file. */
export async function fileSystemOf(
  engine: Engine,
  fd: number,
  facts: StatFacts,
  path: string,
): Promise<FileSystem> {
  if (facts.deviceMajor !== 0) return ON_BLOCK_DEVICE;
  const mount = facts.mountIdIsUnique ? facts.mountId : undefined;
  const found = mount === undefined ? undefined : known.get(mount);
  if (found) return found;
  const fileSystem = await ask(engine, fd, path);
  if (mount !== undefined) known.set(mount, fileSystem);
  return fileSystem;
}

async function ask(engine: Engine, fd: number, path: string): Promise<FileSystem> {
  const memory = engine.acquire(128);
  try {
    unwrap(await run(engine, { op: "statfs", fd, memory }), "statfs", path);
    // struct statfs: f_type, f_bsize, f_blocks …; 64 bits each.
    const view = new DataView(memory.bytes.buffer, memory.bytes.byteOffset);
    const type = view.getUint32(0, true);
    const hasBlocks = view.getBigUint64(16, true) > 0n;
    return {
      stores: !STORES_NOTHING.has(type) && (hasBlocks || MAY_HAVE_NO_BLOCKS.has(type)),
      inMemory: IN_MEMORY.has(type),
      extendsFreely: EXTENDS_FREELY.has(type),
    };
  } finally {
    engine.release(memory);
  }
}
