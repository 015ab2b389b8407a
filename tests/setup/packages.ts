// Installs what a bare Debian machine lacks: liburing, and as root the programs that make file
// systems.

import { hasProgram, lastLine, run, say } from "./command.ts";

/** Programs that the images of file systems need, and the Debian package each comes in. */
const imagePrograms: Record<string, string> = {
  "losetup": "mount",
  "mount": "mount",
  "umount": "mount",
  "mkfs.ext4": "e2fsprogs",
  "mkfs.xfs": "xfsprogs",
  "mkfs.btrfs": "btrfs-progs",
};

/** Whether the dynamic linker finds liburing, as the module itself would look for it. */
export function hasLiburing(): boolean {
  try {
    Deno.dlopen("liburing.so.2", {}).close();
    return true;
  } catch {
    return false;
  }
}

/**
 * Installs what is missing, as far as this machine and account allow.
 *
 * @returns The number of parts that cannot be tested for want of a package.
 */
export async function installPackages(
  options: { images: boolean; signal: AbortSignal },
): Promise<number> {
  const packages = new Set<string>();
  if (!hasLiburing()) packages.add("liburing2");
  if (options.images) {
    for (const [program, name] of Object.entries(imagePrograms)) {
      if (!hasProgram(program)) packages.add(name);
    }
  }
  if (packages.size > 0) await aptInstall([...packages], options.signal);
  if (hasLiburing()) return 0;
  say("liburing is not there: the io_uring engine cannot be tested");
  return 1;
}

/** Installs what the C side is compiled with, where it is missing. */
export async function installHeaders(signal: AbortSignal): Promise<void> {
  const present = await Deno.stat("/usr/include/liburing.h").then(() => true, () => false);
  if (!present) await aptInstall(["liburing-dev"], signal);
}

async function aptInstall(packages: string[], signal: AbortSignal): Promise<void> {
  if (!hasProgram("apt-get")) {
    say(`Not installed, as there is no apt-get: ${packages.join(" ")}`);
    return;
  }
  const sudo = Deno.uid() === 0 ? [] : ["sudo", "-n"];
  const steps = [
    ["update", "-q"],
    ["install", "-q", "-y", "--no-install-recommends", ...packages],
  ];
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
    // Lists that cannot be brought up to date may still do for the installation.
    if (!success) say(`That failed: ${lastLine(output)}`);
  }
}
