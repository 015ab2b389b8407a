// Fetches Debian's packages for aarch64 without adding an architecture to this machine's package system.

import { runOrThrow } from "../../setup/command.ts";

/** The packages of the guest. The name of the kernel's own package contains its version. */
const wanted = ["busybox-static", "libc6", "libgcc-s1", "liburing2"];
const KERNEL = "linux-image-arm64";

/** Unpacks the packages into a folder below `directory`, and resolves to its path. */
export async function fetchArmPackages(directory: string, signal: AbortSignal): Promise<string> {
  const apt = `${directory}/apt`;
  for (const folder of ["state/lists/partial", "cache/archives/partial", "packages", "root"]) {
    await Deno.mkdir(`${apt}/${folder}`, { recursive: true });
  }
  await Deno.writeTextFile(`${apt}/status`, "");
  const options = [
    "-q",
    ...["APT::Architecture=arm64", "APT::Architectures=arm64", "Acquire::http::Timeout=30"],
    ...[`Dir::State=${apt}/state`, `Dir::State::status=${apt}/status`, `Dir::Cache=${apt}/cache`],
  ].flatMap((option) => option.includes("=") ? ["-o", option] : [option]);
  // Root's apt would fetch as a user without access to this directory.
  if (Deno.uid() === 0) options.push("-o", "APT::Sandbox::User=root");

  await runOrThrow("apt-get", [...options, "update"], { signal });
  const depends = await runOrThrow("apt-cache", [...options, "depends", KERNEL], { signal });
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error(`Cannot tell the newest kernel from: ${depends}`);
  const cwd = `${apt}/packages`;
  await runOrThrow("apt-get", [...options, "download", kernel, ...wanted], { cwd, signal });
  for (const { name } of Deno.readDirSync(`${apt}/packages`)) {
    await runOrThrow("dpkg-deb", ["-x", `${apt}/packages/${name}`, `${apt}/root`], { signal });
  }
  return `${apt}/root`;
}
