// Facts about the kernel and this process, read from /proc. A fact is absent without the permission to read it.

export interface Mount {
  /** For example "ext4". */
  type: string;
  mountPoint: string;
  /** For example "/dev/vda1". */
  device: string;
  /** Options of this mount. */
  options: string[];
  /** Options of the file system itself, the same for all its mounts. */
  superOptions: string[];
}

/** The limits, beside the kernel version, that decide whether io_uring may be used. */
export interface IoUringLimits {
  /** The sysctl kernel.io_uring_disabled: 0 allows everybody, 1 root and a group, 2 nobody. */
  disabled: number | null;
  /** Whether a seccomp filter restricts this process, as in a container. */
  seccomp: boolean | null;
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch {
    return undefined;
  }
}

/** The release of the kernel, for example "6.12.1". */
export function kernelRelease(): string | null {
  try {
    return Deno.osRelease();
  } catch {
    return null;
  }
}

/** Whether a kernel's release is `least`, for example "6.1", or newer. */
export function isKernel(release: string, least: string): boolean {
  const [major, minor] = numbers(release);
  const [leastMajor, leastMinor] = numbers(least);
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

function numbers(release: string): [major: number, minor: number] {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return [Number(major ?? 0), Number(minor ?? 0)];
}

/** The limits of io_uring on this machine. */
export async function ioUringLimits(): Promise<IoUringLimits> {
  const disabled = Number.parseInt(await read("/proc/sys/kernel/io_uring_disabled") ?? "", 10);
  const seccomp = /^Seccomp:\s*(\d)/m.exec(await read("/proc/self/status") ?? "")?.[1];
  return {
    disabled: Number.isNaN(disabled) ? null : disabled,
    seccomp: seccomp === undefined ? null : seccomp !== "0",
  };
}

/** The soft limit of locked memory in bytes; Infinity: no limit; null: unknown. */
export async function lockedMemoryLimit(): Promise<number | null> {
  const soft = /^Max locked memory\s+(\S+)/m.exec(await read("/proc/self/limits") ?? "")?.[1];
  if (soft === undefined) return null;
  return soft === "unlimited" ? Infinity : Number(soft);
}

/** Whether this process may lock memory beyond the limit (CAP_IPC_LOCK); null: unknown. */
export async function mayLockMemory(): Promise<boolean | null> {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(await read("/proc/self/status") ?? "")?.[1];
  if (effective === undefined) return null;
  const CAP_IPC_LOCK = 14n;
  return (BigInt(`0x${effective}`) >> CAP_IPC_LOCK & 1n) === 1n;
}

/** The command that installs liburing on this distribution; for an unknown distribution, the commands of the common ones. */
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

/** The mounts in the text of /proc/self/mountinfo, in the order of mounting: proc_pid_mountinfo(5). */
export function mountsIn(mountinfo: string): Mount[] {
  return mountinfo.trimEnd().split("\n").map((line) => {
    // Id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, super options.
    const [left = "", right = ""] = line.split(" - ");
    const [, , , , mountPoint = "", options = ""] = left.split(" ").map(unescapeOctal);
    const [type = "", device = "", superOptions = ""] = right.split(" ").map(unescapeOctal);
    const split = { options: options.split(","), superOptions: superOptions.split(",") };
    return { type, mountPoint, device, ...split };
  });
}

/** The mount of a real, absolute path. */
export function findMount(mountinfo: string, path: string): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of mountsIn(mountinfo)) {
    if (!isWithin(path, mount.mountPoint)) continue;
    // Of two mounts on one directory, the later one hides the earlier.
    if (mount.mountPoint.length >= (found?.mountPoint.length ?? 0)) found = mount;
  }
  return found;
}

/** The mount of `path`; null if it is unknown. */
export async function mountOf(path: string): Promise<Mount | null> {
  const mountinfo = await read("/proc/self/mountinfo");
  if (mountinfo === undefined) return null;
  return findMount(mountinfo, await Deno.realPath(path)) ?? null;
}

/** Whether the files of a mount are in memory only. */
export function isMemory({ type }: Mount): boolean {
  return type === "tmpfs" || type === "ramfs";
}

/** Whether a program or another machine is known to serve the files of a mount. */
export function isServed({ type }: Mount): boolean {
  return /^(9p|afs|beegfs|ceph|cifs|coda|fuse|gpfs|lustre|nfs|prl_fs|pvfs2|smb|vboxsf|virtiofs|vmhgfs)/
    .test(type);
}

/** Whether a mount shows the state of the kernel, and stores no files. In some of them a new directory has an effect. */
export function isKernelView({ type }: Mount): boolean {
  return /^(binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|efivarfs|fusectl|mqueue|proc|pstore|resctrl|securityfs|selinuxfs|sysfs|tracefs)$/
    .test(type);
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
