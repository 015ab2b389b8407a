// Mode, owner and times of the file that is written, as cp(1) sets them. The mode is never wider than the final one.
import type { Descriptor, Times } from "./descriptor.ts";
import type { FileFacts } from "./source.ts";

/** The attributes that a complete file gets. */
export interface Attributes {
  mode: number;
  uid: number | null;
  gid: number | null;
  /** Absent: the times of the writes. */
  times?: Times | undefined;
}

/** The mode that a file is created with, and its final attributes. */
export interface AttributePlan {
  /** Permission bits of a new file, less the umask. */
  creationMode: number;
  /** Absent: the file stays as it was created. */
  final?: Attributes;
}

const PERMISSIONS = 0o777;
const SPECIAL = 0o6000;
const OWNER_ONLY = 0o700;

/** The files whose attributes are copied. */
export interface AttributeSources {
  /** The regular file that is copied. */
  copied?: FileFacts | undefined;
  /** The file whose name an atomic file takes over. */
  replaced?: FileFacts | undefined;
  /** The times of `copied`, if its times and all its other attributes are to be preserved. */
  preserved?: Times | undefined;
}

/** Plans as `cp` does, and with `preserved` as `cp -p`. */
export function planAttributes({ copied, replaced, preserved }: AttributeSources): AttributePlan {
  const like = preserved ? copied : replaced;
  if (!like) return { creationMode: modeOf(copied, 0o666) & PERMISSIONS };
  const mode = modeOf(like, 0o666);
  return {
    // Until the owner is set, group bits would give access to the wrong group.
    creationMode: mode & OWNER_ONLY,
    final: {
      mode: preserved ? mode : mode & PERMISSIONS,
      uid: like.uid,
      gid: like.gid,
      times: preserved,
    },
  };
}

function modeOf(info: FileFacts | undefined, otherwise: number): number {
  return (info?.mode ?? otherwise) & (PERMISSIONS | SPECIAL | 0o1000);
}

/** Sets the attributes. Most users may not change owner and group, so that may fail. Returns whether the rest was set. */
export function setAttributes(on: Descriptor, { mode, uid, gid, times }: Attributes): boolean {
  const owned = uid !== null && gid !== null && on.setOwner({ uid, gid });
  const grouped = owned || (gid !== null && on.setOwner({ gid }));
  let allowed = mode;
  // Set-user-ID and group bits must not give rights to another owner or group.
  if (!owned) allowed &= ~SPECIAL;
  if (!grouped) allowed = (allowed & ~0o070) | (allowed & ((allowed & 0o007) << 3));
  const mayMode = on.setMode(allowed);
  return (times === undefined || on.setTimes(times)) && mayMode;
}
