// Runs the shim's self-test and tests of the module on an emulated machine for aarch64, with a kernel of its own and so
// with io_uring, which user-mode emulation lacks. The arguments of `deno task aarch64` are tests to run instead of those
// below. Needs apt for Debian's packages, and as root installs the emulator.

import { allTargets, buildSelfTest, embeddedShim, parts } from "./architectures/targets.ts";
import { root, runAndShow, runOrThrow, say } from "../setup/command.ts";
import { runMain } from "../setup/file_systems.ts";
import { offlineImports } from "../setup/import_map.ts";
import { copyModules, pack } from "../setup/initramfs.ts";
import { fetchEmulatedDeno } from "../setup/other_deno.ts";
import { aptInstall, installPackages, missing } from "../setup/packages.ts";

const EMULATOR = "qemu-system-aarch64";
const MINUTES = 25;
const DISK_BYTES = 2 * 1024 ** 3;

/** Tests of every operation of the engine, and of each way of waking and registering. */
const usual = ["file/file", "file/random_access", "reader/reader", "writer/sync"];
const tests = Deno.args.length > 0 ? Deno.args : usual.map((name) => `tests/${name}_test.ts`);

/** Debian's packages for the machine. The name of the kernel's own package contains its version. */
const wanted = ["busybox-static", "libc6", "libgcc-s1", "liburing2"];
const KERNEL = "linux-image-arm64";

/** Drivers of the disk and its file system, each after its undeclared dependencies. */
const drivers = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/** The output of the machine before each step, and at its end. */
const MARK = "guest:";

const script = (modules: readonly string[]) =>
  `#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /mnt
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp; ip link set lo up
for module in ${modules.join(" ")}; do insmod /modules/$module.ko; done
mount -t ext4 /dev/vda /mnt
export LD_LIBRARY_PATH=/lib NO_COLOR=1 HOME=/tmp TMPDIR=/mnt/t DENO_DIR=/mnt/cache
for part in ${parts.join(" ")}; do
  echo "${MARK} part $part"; /self_test /shim.so $part
done
cd /mnt/project; export DMA_TEST_DIRS=/mnt/t DMA_ENGINE=io_uring
/mnt/deno test -A --no-check --no-config --import-map=/mnt/import_map.json ${tests.join(" ")}
echo "${MARK} end $?"; sync; poweroff -f
`;

/** Unpacks Debian's packages below `directory`; this machine's package system gets no architecture. Resolves to the path. */
async function fetchPackages(directory: string, signal: AbortSignal): Promise<string> {
  const apt = `${directory}/apt`;
  for (const folder of ["state/lists/partial", "cache/archives/partial", "packages", "root"]) {
    await Deno.mkdir(`${apt}/${folder}`, { recursive: true });
  }
  await Deno.writeTextFile(`${apt}/status`, "");
  const settings = [
    ...["APT::Architecture=arm64", "APT::Architectures=arm64", "Acquire::http::Timeout=30"],
    ...[`Dir::State=${apt}/state`, `Dir::State::status=${apt}/status`, `Dir::Cache=${apt}/cache`],
    // As another user it would have no access to this directory.
    "APT::Sandbox::User=root",
  ];
  const options = ["-q", ...settings.flatMap((setting) => ["-o", setting])];
  await runOrThrow("apt-get", [...options, "update"], { signal });
  const depends = await runOrThrow("apt-cache", [...options, "depends", KERNEL], { signal });
  const kernel = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (kernel === undefined) throw new Error(`Cannot tell the newest kernel from: ${depends}`);
  const cwd = `${apt}/packages`;
  await runOrThrow("apt-get", [...options, "download", kernel, ...wanted], { cwd, signal });
  for (const { name } of Deno.readDirSync(cwd)) {
    await runOrThrow("dpkg-deb", ["-x", `${cwd}/${name}`, `${apt}/root`], { signal });
  }
  return `${apt}/root`;
}

/** Makes the first file system in memory, with the self-test, the shim and what the script needs. */
async function makeInitrd(packages: string, directory: string): Promise<void> {
  const first = `${directory}/first`;
  for (const name of ["bin", "lib", "modules"]) {
    await Deno.mkdir(`${first}/${name}`, { recursive: true });
  }
  const modules = copyModules(`${packages}/lib/modules`, drivers, first);
  await Deno.writeTextFile(`${first}/init`, script(modules), { mode: 0o755 });
  const liburing = `${packages}/usr/lib/aarch64-linux-gnu/liburing.so.2`;
  await runOrThrow("cp", ["-rL", `${packages}/lib/aarch64-linux-gnu/.`, liburing, `${first}/lib`]);
  await Deno.copyFile(`${packages}/bin/busybox`, `${first}/bin/busybox`);
  const target = allTargets().find(({ architecture }) => architecture === "aarch64")!;
  await Deno.copyFile(await buildSelfTest(target, directory), `${first}/self_test`);
  await Deno.writeFile(`${first}/shim.so`, await embeddedShim("aarch64"));
  await pack(first, `${directory}/initrd`);
}

/** Makes a disk with Deno, this module and its tests. */
async function makeDisk(deno: string, directory: string): Promise<void> {
  const content = `${directory}/content`;
  await Deno.mkdir(`${content}/project`, { recursive: true });
  await Deno.mkdir(`${content}/t`);
  await Deno.rename(deno, `${content}/deno`);
  const project = ["mod.ts", "src", "ffi", "cli", "tests", "deno.json"];
  await runOrThrow("cp", ["-r", ...project, `${content}/project`], { cwd: root });
  const imports = offlineImports(`${content}/project`, "/mnt/project");
  await Deno.writeTextFile(`${content}/import_map.json`, JSON.stringify({ imports }));
  using file = await Deno.create(`${directory}/disk`);
  await file.truncate(DISK_BYTES);
  await runOrThrow("mkfs.ext4", ["-q", "-F", "-d", content, `${directory}/disk`]);
}

/** Starts the machine, shows its output, and resolves to the output after it has switched itself off. */
function boot(packages: string, directory: string, signal: AbortSignal): Promise<string> {
  const kernel = [...Deno.readDirSync(`${packages}/boot`)].find(({ name }) => /^vmlinu/.test(name));
  const args = [
    ...["-machine", "virt", "-cpu", "max,pauth-impdef=on", "-smp", "2", "-m", "3G"],
    ...["-kernel", `${packages}/boot/${kernel?.name}`, "-initrd", `${directory}/initrd`],
    // A first process that ends stops the kernel, and that the machine.
    ...["-append", "console=ttyAMA0 quiet panic=-1", "-no-reboot", "-nographic", "-net", "none"],
    ...["-drive", `file=${directory}/disk,if=virtio,format=raw,cache=unsafe`],
  ];
  return runAndShow(EMULATOR, args, signal);
}

/** Whether each part of the self-test and all tests of the module have passed. */
function isGood(output: string): boolean {
  const failed = parts.filter((part) =>
    !new RegExp(`^${MARK} part ${part}\n[1-9]\\d* checks, 0 failed$`, "m").test(output)
  );
  for (const part of failed) say(`The part ${part} of the self-test has failed`);
  return failed.length === 0 && output.includes(`${MARK} end 0`);
}

async function main(directory: string, stop: AbortSignal): Promise<boolean> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(MINUTES * 60_000)]);
  if (Deno.build.arch === "aarch64") {
    throw new Error("This machine is one for aarch64: deno task test does all of it");
  }
  await installPackages({ images: true, architectures: true }, signal);
  await aptInstall([missing({ [EMULATOR]: "qemu-system-arm", cpio: "cpio" })], signal);
  const deno = await fetchEmulatedDeno(directory, signal);
  if (deno === undefined) throw new Error("There is no Deno for aarch64 to be had");
  say("Fetching Debian's kernel and libraries for aarch64");
  const packages = await fetchPackages(directory, signal);
  await makeInitrd(packages, directory);
  await makeDisk(deno, directory);
  return isGood(await boot(packages, directory, signal));
}

if (import.meta.main) Deno.exit(await runMain(main));
