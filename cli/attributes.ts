// Mode, owner and times of the file that is written, as cp(1) has them: never wider than meant, at no moment.
import type { Descriptor, Times } from "./descriptor.ts";

/** What a file gets when all its bytes are there. */
export interface Attributes {
  mode: number;
  uid: number | null;
  gid: number | null;
  /** Absent: those of the writing. */
  times?: Times | undefined;
}

/** With which mode a file is made, and what it gets in the end. */
export interface AttributePlan {
  /** Permission bits of a new file, less the umask. */
  creationMode: number;
  /** Absent: nothing more is done. */
  final?: Attributes;
}

const PERMISSIONS = 0o777;
const SPECIAL = 0o6000;
const OWNER_ONLY = 0o700;

/** What decides the attributes. */
export interface AttributeSources {
  /** The regular file that is copied. */
  copied?: Deno.FileInfo | undefined;
  /** The file whose place the new one takes: it is another file, under the same name. */
  replaced?: Deno.FileInfo | undefined;
  /** Times to be kept, and with them all other attributes of the file that is copied. */
  preserved?: Times | undefined;
}

/** As `cp`, and with times as `cp -p`. */
export function planAttributes({ copied, replaced, preserved }: AttributeSources): AttributePlan {
  const like = preserved ? copied : replaced;
  if (!like) return { creationMode: modeOf(copied, 0o666) & PERMISSIONS };
  const mode = modeOf(like, 0o666);
  return {
    // Until it has its owner, nobody else is to read it.
    creationMode: mode & OWNER_ONLY,
    final: {
      mode: preserved ? mode : mode & PERMISSIONS,
      uid: like.uid,
      gid: like.gid,
      times: preserved,
    },
  };
}

function modeOf(info: Deno.FileInfo | undefined, otherwise: number): number {
  return (info?.mode ?? otherwise) & (PERMISSIONS | SPECIAL | 0o1000);
}

/**
 * Sets what may be set. Owner and group are left where they may not: most users may give no file away. Returns whether mode
 * and times were set.
 */
export function setAttributes(on: Descriptor, { mode, uid, gid, times }: Attributes): boolean {
  const owned = uid !== null && gid !== null && on.setOwner({ uid, gid });
  const grouped = owned || (gid !== null && on.setOwner({ gid }));
  let allowed = mode;
  // Bits that are meant for one owner must not serve another.
  if (!owned) allowed &= ~SPECIAL;
  if (!grouped) allowed = (allowed & ~0o070) | (allowed & ((allowed & 0o007) << 3));
  const mayMode = on.setMode(allowed);
  return (times === undefined || on.setTimes(times)) && mayMode;
}
