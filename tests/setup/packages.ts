// Installs the packages that a bare Debian machine lacks: liburing, and as root the programs that make and serve file
// systems, and those that build and run the shim for other processors and C libraries.

import { servers } from "../mounts/servers.ts";
import { exists, hasProgram, lastLine, run, say } from "./command.ts";

/** Programs, or headers of C, each with its Debian packages. */
export type Packages = Readonly<Record<string, string>>;

const imagePrograms: Packages = {
  "losetup": "mount",
  "mount": "mount",
  "umount": "mount",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.xfs": "xfsprogs",
  "mkfs.btrfs": "btrfs-progs",
};

/** For a build of the C part. */
export const headers: Packages = { "/usr/include/liburing.h": "liburing-dev" };

/** For the tests of other architectures. Debian has no cross compiler from a processor to itself. */
const architecturePrograms: Packages = {
  ...headers,
  "gcc": "gcc libc6-dev",
  ...Deno.build.arch === "aarch64" ? {} : {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-aarch64-static": "qemu-user-static",
  },
  "musl-gcc": "musl-tools",
};

export function missing(packages: Packages): string[] {
  const names = Object.keys(packages).filter((name) => !hasProgram(name));
  return [...new Set(names.flatMap((name) => packages[name]!.split(" ")))];
}

/** Whether the dynamic linker finds liburing by the name that the module uses. */
function hasLiburing(): boolean {
  try {
    Deno.dlopen("liburing.so.2", {}).close();
    return true;
  } catch {
    return false;
  }
}

/** Installs what this machine and account allow. Resolves to the number of parts that cannot be tested without the rest. */
export async function installPackages(
  { images, architectures }: { images: boolean; architectures: boolean },
  signal: AbortSignal,
): Promise<number> {
  const isRoot = Deno.uid() === 0;
  const groups = [
    [...hasLiburing() ? [] : ["liburing2"], ...images && isRoot ? missing(imagePrograms) : []],
    architectures && isRoot ? missing(architecturePrograms) : [],
    // Without /dev/fuse no server can mount.
    images && isRoot && exists("/dev/fuse")
      ? servers.flatMap(({ programs = {} }) => missing(programs))
      : [],
  ];
  await aptInstall(groups, signal);
  if (hasLiburing()) return 0;
  say("liburing is missing: the io_uring engine cannot be tested");
  return 1;
}

/** Installs liburing if it is missing. Resolves to whether it is there. */
export async function installLiburing(signal: AbortSignal): Promise<boolean> {
  if (!hasLiburing()) await aptInstall([["liburing2"]], signal);
  return hasLiburing();
}

/** Installs groups of packages, each separately: if a distribution lacks one package, the other groups are still installed. */
export async function aptInstall(groups: readonly string[][], signal: AbortSignal): Promise<void> {
  const wanted = groups.filter((packages) => packages.length > 0);
  if (wanted.length === 0) return;
  const isRoot = Deno.uid() === 0;
  const lacks = ["apt-get", ...isRoot ? [] : ["sudo"]].find((program) => !hasProgram(program));
  if (lacks !== undefined) {
    return say(`Not installed, as there is no ${lacks}: ${wanted.flat().join(" ")}`);
  }
  const [program = "", ...first] = isRoot ? ["apt-get"] : ["sudo", "-n", "apt-get"];
  // A mirror that hangs must not hang the tests.
  const options = ["-o", "Acquire::http::Timeout=30", "-o", "DPkg::Lock::Timeout=120"];
  const install = ["install", "-q", "-y", "--no-install-recommends"];
  for (const step of [["update", "-q"], ...wanted.map((packages) => [...install, ...packages])]) {
    say(`apt-get ${step.join(" ")}`);
    const { success, output } = await run(program, [...first, ...options, ...step], {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(240_000)]),
    });
    // If the update of the package lists fails, the old lists may still be usable.
    if (!success) say(`That failed: ${lastLine(output)}`);
  }
}
