// What is known of file systems, by the type that statfs(2) gives.

import { type Engine, run } from "../engine/engine.ts";
import { unwrap } from "../errors.ts";
import type { StatFacts } from "./stat.ts";

/** File systems that are views of the kernel: writing there is no storing. */
const PSEUDO: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x73636673, // securityfs
  0xcafe4a11, // bpf
  0x6165676c, // pstore
  0xde5e81e4, // efivarfs
  0x62656570, // configfs
]);

/** File systems that live in memory: O_DIRECT may open there, and means nothing. */
const IN_MEMORY: ReadonlySet<number> = new Set([
  0x01021994, // tmpfs
  0x858458f6, // ramfs
]);

/** File systems on which a write that extends a file is like any other, so that reserving gains nothing. */
const EXTENDS_FREELY: ReadonlySet<number> = new Set([
  ...IN_MEMORY,
  0x9123683e, // btrfs
  0x65735546, // FUSE
  0x6969, // NFS
]);

/** What decides how a file is opened and written. */
export interface FileSystem {
  readonly pseudo: boolean;
  readonly inMemory: boolean;
  readonly extendsFreely: boolean;
}

/** Types by mount, for mounts whose identifier no other mount ever gets. */
const types = new Map<bigint, number>();

/** The file system of an open file. */
export async function fileSystemOf(
  engine: Engine,
  fd: number,
  facts: StatFacts,
  path: string,
): Promise<FileSystem> {
  const type = await typeOf(engine, fd, facts, path);
  return {
    pseudo: PSEUDO.has(type),
    inMemory: IN_MEMORY.has(type),
    extendsFreely: EXTENDS_FREELY.has(type),
  };
}

/** f_type, or 0 for a file system on a block device: none of those is special here. */
async function typeOf(
  engine: Engine,
  fd: number,
  facts: StatFacts,
  path: string,
): Promise<number> {
  if (facts.deviceMajor !== 0) return 0;
  const mount = facts.mountIdIsUnique ? facts.mountId : undefined;
  const known = mount === undefined ? undefined : types.get(mount);
  if (known !== undefined) return known;
  const memory = engine.acquire(128);
  try {
    unwrap(await run(engine, { op: "statfs", fd, memory }), "statfs", path);
    const type = new DataView(memory.bytes.buffer, memory.bytes.byteOffset).getUint32(0, true);
    if (mount !== undefined) types.set(mount, type);
    return type;
  } finally {
    engine.release(memory);
  }
}
