// Installs the packages that a bare Debian machine lacks: liburing, and as root the programs that make and serve file
// systems, and those that build and run the shim for other processors and C libraries.

import { exists, hasProgram, lastLine, run, say } from "./command.ts";

/** Programs for the images of file systems, each with its Debian package. */
const imagePrograms: Record<string, string> = {
  "losetup": "mount",
  "mount": "mount",
  "umount": "mount",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.xfs": "xfsprogs",
  "mkfs.btrfs": "btrfs-progs",
};

/** Programs that serve files (tests/mounts/servers.ts), each with its package. All install in some twenty seconds. */
const serverPrograms: Record<string, string> = {
  "bindfs": "bindfs",
  "encfs": "encfs",
  "fuse-overlayfs": "fuse-overlayfs",
  "fuse2fs": "fuse2fs",
  "gocryptfs": "gocryptfs",
  "mergerfs": "mergerfs",
  "ntfs-3g": "ntfs-3g",
  "rclone": "rclone",
  "sshfs": "sshfs",
  "/usr/lib/openssh/sftp-server": "openssh-sftp-server",
  "unionfs": "unionfs-fuse",
};

/**
 * Programs for the tests of other architectures, each with its Debian packages.
 */
const architecturePrograms: Record<string, readonly string[]> = {
  "gcc": ["gcc", "libc6-dev"],
  "aarch64-linux-gnu-gcc": ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
  "qemu-aarch64-static": ["qemu-user-static"],
  "musl-gcc": ["musl-tools"],
};

/** The headers for the compilation of the C part. */
const headers = { path: "/usr/include/liburing.h", package: "liburing-dev" };

/** Whether the dynamic linker finds liburing by the name that the module uses. */
export function hasLiburing(): boolean {
  try {
    Deno.dlopen("liburing.so.2", {}).close();
    return true;
  } catch {
    return false;
  }
}

/**
 * Installs the missing packages, as far as this machine and account allow.
 *
 * @returns The number of parts that cannot be tested because a package is missing.
 */
export async function installPackages(
  options: { images: boolean; architectures: boolean; signal: AbortSignal },
): Promise<number> {
  const packages = new Set<string>();
  if (!hasLiburing()) packages.add("liburing2");
  if (options.images) {
    for (const [program, name] of Object.entries(imagePrograms)) {
      if (!hasProgram(program)) packages.add(name);
    }
  }
  // Separate groups: if a distribution lacks one package, the other groups are still installed.
  const more = options.architectures ? missingForArchitectures() : [];
  const servers = options.images ? missingServers() : [];
  await aptInstall([[...packages], more, servers], options.signal);
  if (hasLiburing()) return 0;
  say("liburing is missing: the io_uring engine cannot be tested");
  return 1;
}

function missingServers(): string[] {
  // Without /dev/fuse none of these programs can mount.
  if (!exists("/dev/fuse")) return [];
  return Object.keys(serverPrograms).filter((program) => !hasProgram(program))
    .map((program) => serverPrograms[program]!);
}

function missingForArchitectures(): string[] {
  const programs = Object.keys(architecturePrograms).filter((program) =>
    // Debian has no cross compiler from a processor to itself.
    !program.includes(Deno.build.arch) && !hasProgram(program)
  );
  const packages = programs.flatMap((program) => architecturePrograms[program] ?? []);
  return exists(headers.path) ? packages : [...packages, headers.package];
}

/** Installs the headers of liburing if they are missing. */
export async function installHeaders(signal: AbortSignal): Promise<void> {
  if (!exists(headers.path)) await aptInstall([[headers.package]], signal);
}

/** Installs packages, each separately. */
export async function installDebianPackages(
  packages: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await aptInstall(packages.map((each) => [each]), signal);
}

export async function installProgram(
  program: string,
  packageName: string,
  signal: AbortSignal,
): Promise<void> {
  if (!hasProgram(program)) await aptInstall([[packageName]], signal);
}

/** Installs groups of packages, each separately, so that a failure does not affect the other groups. */
async function aptInstall(groups: readonly string[][], signal: AbortSignal): Promise<void> {
  const wanted = groups.filter((packages) => packages.length > 0);
  if (wanted.length === 0) return;
  const isRoot = Deno.uid() === 0;
  const lacks = ["apt-get", ...isRoot ? [] : ["sudo"]].find((program) => !hasProgram(program));
  if (lacks !== undefined) {
    say(`Not installed, as there is no ${lacks}: ${wanted.flat().join(" ")}`);
    return;
  }
  const sudo = isRoot ? [] : ["sudo", "-n"];
  const install = ["install", "-q", "-y", "--no-install-recommends"];
  const steps = [["update", "-q"], ...wanted.map((packages) => [...install, ...packages])];
  for (const step of steps) {
    // A mirror that hangs must not hang the tests.
    const command = [
      ...sudo,
      "apt-get",
      "-o",
      "Acquire::http::Timeout=30",
      "-o",
      "DPkg::Lock::Timeout=120",
      ...step,
    ];
    say(command.filter((word) => !word.includes("=") && word !== "-o").join(" "));
    const [program = "", ...args] = command;
    const { success, output } = await run(program, args, {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(240_000)]),
    });
    // If the update of the package lists fails, the old lists may still be usable.
    if (!success) say(`That failed: ${lastLine(output)}`);
  }
}
