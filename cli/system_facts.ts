// What the kernel says of itself and of this process, read from /proc. Each fact is absent where it may not be read.

/** A mounted file system. */
export interface Mount {
  /** As "ext4". */
  type: string;
  /** Where it is mounted. */
  mountPoint: string;
  /** What is mounted there, as "/dev/vda1". */
  device: string;
  /** Options of the mount. */
  options: string[];
  /** Options of the file system itself, whatever its mounts. */
  superOptions: string[];
}

/** What decides whether io_uring may be used, beside the kernel version. */
export interface IoUringLimits {
  /** The sysctl kernel.io_uring_disabled: 0 for everybody, 1 for its group, 2 for nobody. */
  disabled: number | null;
  /** Whether a seccomp filter is on this process, as container runtimes set one. */
  seccomp: boolean | null;
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch {
    return undefined;
  }
}

/** The release of the kernel, as "6.12.1". */
export function kernelRelease(): string | null {
  try {
    return Deno.osRelease();
  } catch {
    return null;
  }
}

/** Whether a kernel's release is `least`, as "6.1", or newer. */
export function isKernel(release: string, least: string): boolean {
  const [major, minor] = numbers(release);
  const [leastMajor, leastMinor] = numbers(least);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

function numbers(release: string): [major: number, minor: number] {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0)];
}

/** What may forbid io_uring here. */
export async function ioUringLimits(): Promise<IoUringLimits> {
  const disabled = Number.parseInt(await read("/proc/sys/kernel/io_uring_disabled") ?? "", 10);
  const seccomp = /^Seccomp:\s*(\d)/m.exec(await read("/proc/self/status") ?? "")?.[1];
  return {
    disabled: Number.isNaN(disabled) ? null : disabled,
    seccomp: seccomp === undefined ? null : seccomp !== "0",
  };
}

/** The soft limit of locked memory in bytes; Infinity where there is none, null where it is not known. */
export async function lockedMemoryLimit(): Promise<number | null> {
  const soft = /^Max locked memory\s+(\S+)/m.exec(await read("/proc/self/limits") ?? "")?.[1];
  if (soft === undefined) return null;
  return soft === "unlimited" ? Infinity : Number(soft);
}

/** Whether this process may lock memory beyond the limit (CAP_IPC_LOCK); null where it is not known. */
export async function mayLockMemory(): Promise<boolean | null> {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(await read("/proc/self/status") ?? "")?.[1];
  if (effective === undefined) return null;
  const CAP_IPC_LOCK = 14n;
  return (BigInt(`0x${effective}`) >> CAP_IPC_LOCK & 1n) === 1n;
}

/** The command that installs liburing on this distribution, or on the common ones where that cannot be told. */
export async function liburingInstall(): Promise<string> {
  const commands: Record<string, string> = {
    debian: "apt install liburing2",
    fedora: "dnf install liburing",
    arch: "pacman -S liburing",
    alpine: "apk add liburing",
    suse: "zypper install liburing2",
  };
  const release = await read("/etc/os-release") ?? "";
  const names = [...release.matchAll(/^(?:ID|ID_LIKE)=(.*)$/gm)]
    .flatMap(([, value]) => value?.replaceAll('"', "").split(/\s+/) ?? []);
  for (const name of names) {
    const command = commands[name];
    if (command !== undefined) return command;
  }
  return Object.values(commands).join(", or ");
}

/** The mount that a real, absolute path is on. */
export function findMount(mountinfo: string, path: string): Mount | undefined {
  let found: Mount | undefined;
  for (const line of mountinfo.split("\n")) {
    // proc(5): id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, super options.
    const [left = "", right = ""] = line.split(" - ");
    const [, , , , point = "", options = ""] = left.split(" ").map(unescapeOctal);
    const [type = "", device = "", superOptions = ""] = right.split(" ").map(unescapeOctal);
    if (type === "" || !contains(point, path)) continue;
    // A later line hides an earlier one on the same mount point.
    if (found === undefined || point.length >= found.mountPoint.length) {
      found = {
        type,
        mountPoint: point,
        device,
        options: options.split(","),
        superOptions: superOptions.split(","),
      };
    }
  }
  return found;
}

/** The mount that `path` is on, or null where it cannot be told. */
export async function mountOf(path: string): Promise<Mount | null> {
  const mountinfo = await read("/proc/self/mountinfo");
  if (mountinfo === undefined) return null;
  return findMount(mountinfo, await Deno.realPath(path)) ?? null;
}

/** Whether files of a mount are served by a program or another machine, so that calls for them run on threads. */
export function isServed({ type }: Mount): boolean {
  return /^(fuse|nfs|cifs|smb|9p$|ceph$|virtiofs$)/.test(type);
}

function contains(point: string, path: string): boolean {
  return point === "/" || path === point || path.startsWith(`${point}/`);
}

function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
