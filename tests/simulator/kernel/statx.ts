// Lays out `struct statx` (include/uapi/linux/node.h) and `struct statfs`.

import {
  STATX_BASIC_STATS,
  STATX_DIOALIGN,
  STATX_MNT_ID,
  STATX_MNT_ID_UNIQUE,
} from "../../../src/engine/linux.ts";
import type { Node } from "./directory_tree.ts";
import type { FileSystemKind } from "./file_systems.ts";

/** Writes the fields that the module reads. */
export function writeStatx(into: Uint8Array, node: Node, kind: FileSystemKind): void {
  const view = new DataView(into.buffer, into.byteOffset, 256);
  into.fill(0, 0, 256);
  const { memoryAlignment, alignment } = kind;
  const mask = STATX_BASIC_STATS | STATX_MNT_ID | (kind.uniqueMountId ? STATX_MNT_ID_UNIQUE : 0) |
    (kind.saysAlignment ? STATX_DIOALIGN : 0);
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

/** Writes f_type and f_blocks. Only kernel views have no blocks. */
export function writeStatfs(into: Uint8Array, kind: FileSystemKind): void {
  into.fill(0, 0, 120);
  const view = new DataView(into.buffer, into.byteOffset, 24);
  view.setUint32(0, kind.type, true);
  view.setBigUint64(16, 1n << 20n, true);
}
