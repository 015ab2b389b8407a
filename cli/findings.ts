// Derives the problems from the facts of a diagnosis, with the severity and the remedy of each.
import { DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND } from "../mod.ts";
import { Errno } from "../src/engine/linux.ts";
import type { DirectProbe } from "./direct_probe.ts";
import { PROGRAM } from "./help_text.ts";
import { pathFlag, quoted } from "./remedies.ts";
import type { Finding, Report } from "./report.ts";
import {
  type IoUringLimits,
  isKernel,
  isKernelView,
  isMemory,
  type Mount,
} from "./system_facts.ts";
import { formatSize } from "./units.ts";

/** The facts, before they are judged. */
export type Facts = Omit<Report, "verdict" | "findings">;

/** Buffers are pinned in pieces of this size: src/engine/pool.ts. */
const PIECE = 8 * 1024 ** 2;
/** With a lower limit, a few writers at once use it up. */
const AMPLE = 8 * PIECE;
const LOCK_MORE =
  "ulimit -l unlimited, LimitMEMLOCK=infinity in systemd, --ulimit memlock=-1 in docker";
/** The first kernel whose btrfs copies data with checksums through the page cache: its documentation on checksumming. */
const BTRFS_COPIES_SINCE = "6.14";

/** All findings, the worst first. */
export function findings(facts: Facts): Finding[] {
  // On another platform all other findings have the same cause.
  const { platformError } = facts;
  if (platformError !== null) return [error(platformError, null)];
  const found = [
    permissions(facts),
    path(facts),
    engine(facts),
    liburing(facts),
    ioUring(facts),
    directIo(facts),
    checksums(facts),
    readOnly(facts),
    lockedMemory(facts),
    operations(facts),
    ...broken(facts),
    alignment(facts),
  ].filter((finding) => finding !== undefined);
  const order = ["error", "warning", "info"];
  return found.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}

/** The diagnosis in one line. */
export function verdict(facts: Facts, found: Finding[]): string {
  const first = found.find(({ level }) => level === "error");
  if (!facts.works) {
    return `Does not work: ${first?.what ?? facts.engineError ?? facts.probe.error}`;
  }
  const { direct, engine, mount, noCow } = facts.probe;
  const reads = copiesForChecksums(mount, facts.kernel, noCow) ? " for reading only" : "";
  const how = `${direct ? `Direct I/O${reads}` : "page cache"} over ${engine} on ${
    mount?.type ?? "an unknown file system"
  }`;
  const slower = found.some(({ level }) => level === "warning");
  return `${slower ? "Works, slower" : "Works"}: ${how}`;
}

type Make = (what: string, remedy: string | null) => Finding;
const at = (level: Finding["level"]): Make => (what, remedy) => ({ level, what, remedy });
const [error, warning, info] = [at("error"), at("warning"), at("info")];

function permissions({ missingPermissions, probe, works }: Facts): Finding | undefined {
  if (missingPermissions.length === 0) return undefined;
  const path = quoted(probe.path);
  const paths = ["--allow-read", "--allow-write"].map((flag) => pathFlag(flag, probe.path));
  const flags = ["--allow-ffi", ...paths].join(" ");
  // A file can be read without the permission to write.
  return (works ? info : error)(
    `Deno was started without ${missingPermissions.join(" ")}`,
    `deno run ${flags} ${quoted(PROGRAM)} doctor ${path}`,
  );
}

function path({ engineError, missingPermissions, probe }: Facts): Finding | undefined {
  if (probe.error === null || missingPermissions.length > 0) return undefined;
  // An error of the engine is its own finding, and so is a read-only mount.
  if (probe.error === engineError) return undefined;
  if (probe.mount?.options.includes("ro") && probe.error.includes("(os error 30)")) {
    return undefined;
  }
  return error(`${probe.path}: ${probe.error}`, remedyForPath(probe));
}

function remedyForPath({ error, kind, mount, path }: DirectProbe): string | null {
  const failedWith = (errno: number) => error!.includes(`(os error ${errno})`);
  const { EACCES, ENOENT, ENOSPC } = Errno;
  if (kind === "other") return "name a directory, or a regular file";
  if (mount && isKernelView(mount)) return "name a directory on a disk";
  if (kind === null && failedWith(ENOENT)) {
    return `name an existing path, or mkdir -p ${quoted(path)}`;
  }
  if (mount?.type === "fuse.rclone") return "mount it with --vfs-cache-mode writes";
  if (failedWith(EACCES)) {
    return `the permissions of the file system forbid it, not Deno's: ls -ld ${quoted(path)}`;
  }
  return failedWith(ENOSPC) ? `make room: df -h ${quoted(path)}` : null;
}

function engine(facts: Facts): Finding | undefined {
  const { deno, engineError, liburing: { loads, install }, missingPermissions } = facts;
  if (engineError === null || missingPermissions.length > 0) return undefined;
  return error(
    `No engine is available: ${engineError}`,
    loads === false
      ? `${install}, or unset DMA_ENGINE`
      : `unset DMA_ENGINE, DMA_SHIM and DMA_LIBURING if they are set; otherwise Deno ${deno} may be too old: deno upgrade`,
  );
}

function liburing({ engineError, liburing: { loads, install } }: Facts): Finding | undefined {
  if (loads !== false || engineError !== null) return undefined;
  return warning("liburing cannot be loaded: threads are used instead of io_uring", install);
}

/** The known limits of this machine that forbid io_uring, each with its remedy. */
export function ioUringObstacles(
  { disabled, seccomp }: IoUringLimits,
): [why: string, remedy: string][] {
  const found: [string, string][] = [];
  const root = "as root: sysctl kernel.io_uring_disabled=0";
  if (disabled === 2) found.push(["kernel.io_uring_disabled is 2: nobody may use it", root]);
  if (seccomp) {
    found.push([
      "a seccomp filter is active, as in containers, whose default filter forbids io_uring",
      "docker run --security-opt seccomp=FILE, with a profile that allows io_uring_setup, io_uring_enter and io_uring_register (seccomp=unconfined allows everything)",
    ]);
  }
  if (disabled === 1) {
    found.push([
      "kernel.io_uring_disabled is 1: only root and a group may use it",
      `${root}, or put the user into the group of kernel.io_uring_group`,
    ]);
  }
  return found;
}

function ioUring({ engine, ioUring, liburing }: Facts): Finding | undefined {
  if (engine.engine !== "threads" || !liburing.loads) return undefined;
  const what = "io_uring is not used: threads are used, with the same promises";
  if (ioUring.allowed === null) return warning(what, "unset DMA_ENGINE, which selects threads");
  // ENOMEM: the ring itself exceeds the limit of locked memory.
  const other = engine.reason.includes("(os error 12)") ? LOCK_MORE : "kernel 5.11 or newer";
  const [why, remedy] = ioUringObstacles(ioUring)[0] ?? [engine.reason, other];
  return warning(`${what}; ${why}`, remedy);
}

function directIo({ probe: { direct, mount, reason } }: Facts): Finding | undefined {
  if (direct !== false) return undefined;
  return warning(
    mount && isMemory(mount)
      ? `${mount.type} is memory: there is no Direct I/O, and nothing is ever durable`
      : `No Direct I/O on ${mount?.type ?? "this file system"}: ${reason ?? "it has none"}`,
    "name a directory on a disk: ext4 and xfs have Direct I/O",
  );
}

/**
 * Whether writes go through the page cache although the file was opened for Direct I/O.
 *
 * @param noCow whether the file itself has no checksums (chattr +C)
 */
export function copiesForChecksums(
  mount: Mount | null,
  kernel: string | null,
  noCow: boolean | null,
): boolean {
  if (mount?.type !== "btrfs" || noCow) return false;
  if (mount.superOptions.includes("nodatasum") || mount.superOptions.includes("nodatacow")) {
    return false;
  }
  return kernel !== null && isKernel(kernel, BTRFS_COPIES_SINCE);
}

function checksums({ kernel, probe }: Facts): Finding | undefined {
  if (!probe.direct || !copiesForChecksums(probe.mount, kernel, probe.noCow)) return undefined;
  const path = quoted(probe.path);
  return warning(
    `btrfs computes checksums of data: since kernel ${BTRFS_COPIES_SINCE} writes to such files go through the page cache`,
    probe.kind === "directory"
      ? `chattr +C ${path} for new files (they have no checksums then), or another file system`
      : null,
  );
}

function readOnly({ probe: { kind, mount } }: Facts): Finding | undefined {
  if (!mount?.options.includes("ro")) return undefined;
  return (kind === "file" ? info : error)(
    `${mount.mountPoint} is mounted read-only`,
    `as root: mount -o remount,rw ${quoted(mount.mountPoint)}`,
  );
}

/** Whether no buffers can be registered with the ring, because of the limit or the kernel. */
export function lacksRegistration({ engine, lockedMemory: bytes, mayLock }: Facts): boolean {
  return !engine.registeredBuffers || (bytes !== null && bytes >= 0 && bytes < PIECE && !mayLock);
}

function lockedMemory({ engine, lockedMemory: bytes, mayLock }: Facts): Finding | undefined {
  if (engine.engine !== "io_uring") return undefined;
  const limited = bytes !== null && bytes >= 0 && !mayLock;
  const limit = `Locked memory is limited to ${formatSize(bytes ?? 0)}`;
  if (limited && bytes < PIECE) {
    return warning(`${limit}: no buffers can be registered with the ring`, LOCK_MORE);
  }
  if (!engine.registeredBuffers) {
    return warning(
      "Buffers cannot be registered with the ring, which costs some speed",
      "kernel 5.19 and liburing 2.2, or newer",
    );
  }
  if (!limited || bytes >= AMPLE) return undefined;
  const count = Math.floor(bytes / ((DEFAULT_WRITE_BEHIND + 1) * DEFAULT_BUFFER_SIZE));
  const writers = count === 1 ? "one writer" : `${count} writers at once`;
  return info(
    `${limit}: the buffers of ${writers} can be registered with the ring, but not more`,
    LOCK_MORE,
  );
}

function operations({ engine: { engine, missing }, kernel }: Facts): Finding | undefined {
  if (engine !== "io_uring" || missing.length === 0) return undefined;
  return info(
    `io_uring of kernel ${kernel} lacks ${missing.join(", ")}: threads perform these operations`,
    "kernel 6.9 or newer has all of them",
  );
}

function broken({ probe: { broken, mount } }: Facts): Finding[] {
  const type = mount?.type ?? "an unknown file system";
  return broken.map(({ what, remedy }) => error(`${what} (${type})`, remedy));
}

function alignment({ kernel }: Facts): Finding | undefined {
  if (kernel === null || isKernel(kernel, "6.1")) return undefined;
  return info(
    `Kernel ${kernel} does not report the alignment of Direct I/O: 4,096 bytes are used`,
    "kernel 6.1 or newer",
  );
}
