// Tests the promises on network file systems, on an emulated machine with Debian's kernel and their clients and
// servers: NFS, SMB, directories shared by 9p and virtiofs, and CephFS, whose cluster runs here. The arguments of
// `deno task test:network` choose some by name, or the packages of another kernel (linux-image-….deb). It needs root and
// apt. The machine's first disk is this machine's, read-only.

import { FaultFileSystem } from "../faults/fault_file_system.ts";
import { eventually, exists, hasProgram, pause, root, say } from "../setup/command.ts";
import { run, runAndShow, runOrThrow } from "../setup/command.ts";
import { runMain } from "../setup/file_systems.ts";
import { copyModules, pack } from "../setup/initramfs.ts";
import { aptInstall } from "../setup/packages.ts";
import { cephPackages, startCeph } from "./ceph.ts";
import { onHost, packages, shared, tags } from "./network_servers.ts";
import { DELAY_MS, ROOM, Script } from "./servers.ts";

const EMULATOR = "qemu-system-x86_64";
const KERNEL = "linux-image-amd64";
const MINUTES = 120;
const MEMORY = "3G";
const DISK = "4G";
/** Printed at the end, with the status. */
const END = "machine: end";

const drivers = ["virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "overlay", "ext4"];

/** Unpacks the packages that the machine needs and this one lacks: its kernel and servers. Resolves to their folder. */
async function makeLayer(parent: string, kernel: string[], signal: AbortSignal): Promise<string> {
  const archives = `${parent}/archives`;
  const layer = `${parent}/layer`;
  await Deno.mkdir(`${archives}/partial`, { recursive: true });
  const quiet = ["-q", "-o", "APT::Sandbox::User=root", "-o", `Dir::Cache::archives=${archives}`];
  const only = ["install", "-y", "--no-install-recommends", "--download-only"];
  await runOrThrow("apt-get", [...quiet, ...only, ...packages], { signal });
  if (kernel.length === 0) {
    const depends = await runOrThrow("apt-cache", ["depends", KERNEL], { signal });
    const newest = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (newest === undefined) throw new Error(`Cannot tell the newest kernel from: ${depends}`);
    await runOrThrow("apt-get", [...quiet, "download", newest], { cwd: archives, signal });
  }
  const downloaded = [...Deno.readDirSync(archives)].filter(({ name }) => name.endsWith(".deb"));
  // The same links as on the root file system, so that files below /lib do not replace the link.
  for (const name of ["bin", "lib", "lib64", "sbin"]) {
    await Deno.mkdir(`${layer}/usr/${name}`, { recursive: true });
    await Deno.symlink(`usr/${name}`, `${layer}/${name}`);
  }
  for (const path of [...kernel, ...downloaded.map(({ name }) => `${archives}/${name}`)]) {
    const unpack = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" --keep-directory-symlink';
    await runOrThrow("sh", ["-c", unpack, path, layer], { signal });
  }
  return layer;
}

async function findKernel(layer: string) {
  const versions = `${layer}/usr/lib/modules`;
  const version = [...Deno.readDirSync(versions)].find(({ isDirectory }) => isDirectory)!.name;
  const image = [`${layer}/boot/vmlinuz-${version}`, `${versions}/${version}/vmlinuz`]
    .find((path) => hasProgram(path));
  if (image === undefined) throw new Error(`There is no image of the kernel ${version}`);
  // The name of a program of kmod selects its function.
  const depmod = `${layer}/depmod`;
  const kmod = hasProgram("/usr/bin/kmod") ? "/usr/bin/kmod" : `${layer}/usr/bin/kmod`;
  await Deno.symlink(kmod, depmod);
  await runOrThrow(depmod, ["-b", layer, version]);
  return { image, modules: `${versions}/${version}` };
}

/** The first process of the machine: mounts the packages over this machine's files, and continues there. */
function firstScript(modules: readonly string[]): string {
  const options = "-o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144";
  const layers = "lowerdir=/layer:/host,upperdir=/top/upper,workdir=/top/work";
  return `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for each in ${modules.join(" ")}; do insmod /modules/$each.ko; done
for each in host layer; do mount -t 9p ${options} $each /$each; done
mount -t tmpfs top /top; mkdir /top/upper /top/work
mount -t overlay -o ${layers} root /root || poweroff -f
for each in proc sys dev; do mount --move /$each /root/$each; done
exec switch_root /root /bin/sh /second_script
`;
}

function secondScript(directory: string, args: readonly string[]): string {
  const words = args.map((arg) => `'${arg.replaceAll("'", "")}'`).join(" ");
  return `mount -t tmpfs run /run; mkdir -p /run/rpcbind /run/lock /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm; mount -t devpts pts /dev/pts
mkdir -p /srv; mount -t ext4 /dev/vda /srv; hostname machine; ip link set lo up
# Users of packages that are not installed.
for each in _rpc statd; do
  echo $each:x:9$(wc -l </etc/passwd):65534::/run/rpcbind:/bin/false >>/etc/passwd
done
chown _rpc /run/rpcbind; touch /etc/exports
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root NO_COLOR=1
export TMPDIR=/srv DENO_DIR=${directory}/cache
for each in loop nfs nfsd cifs virtiofs ceph virtio_net sch_netem; do modprobe $each; done
cd ${root}; echo "# Linux $(uname -r)"
${Deno.execPath()} run -A --no-check tests/mounts/network_servers.ts ${words}
echo "${END} $?"; sync; busybox poweroff -f
`;
}

/** Directories that this machine shares until the stack is disposed. Resolves to the options of the emulator. */
async function share(directory: string, stack: AsyncDisposableStack): Promise<string[]> {
  const path = `${directory}/share`;
  for (const name of Object.values(shared)) {
    await Deno.mkdir(`${path}/${name}`, { recursive: true });
  }
  const small = `${path}/${shared.small}`;
  await runOrThrow("mount", ["-t", "tmpfs", "-o", `size=${ROOM}`, "small", small]);
  await Deno.mkdir(`${directory}/faults`);
  const slow = stack.use(await FaultFileSystem.open(`${directory}/faults`, ["cached"]));
  await runOrThrow("mount", ["--bind", slow.path, `${path}/${shared.slow}`]);
  stack.defer(async () => void await run("umount", [`${path}/${shared.slow}`]));
  for (const operation of ["open", "read", "write", "fsync"]) {
    await slow.command(`fault ${operation} delay ${DELAY_MS}`);
  }
  const options = tags.nine.flatMap((tag) => nine(tag, path));
  const virtiofsd = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"].find(hasProgram);
  if (virtiofsd === undefined) say("There is no virtiofsd");
  for (const tag of virtiofsd ? tags.virtio : []) {
    const socket = `${directory}/${tag}`;
    const script = `exec ${virtiofsd} --socket-path=${socket} -o source=${path} -o sandbox=chroot`;
    stack.use(new Script(script, {}));
    await eventually(() => exists(socket), "virtiofsd listens");
    options.push("-chardev", `socket,id=${tag},path=${socket}`);
    options.push("-device", `vhost-user-fs-pci,chardev=${tag},tag=${tag}`);
  }
  return options;
}

/** The options with which the emulator shares a directory by 9p. */
function nine(tag: string, path: string, ...more: string[]): string[] {
  const options = ["security_model=none", "multidevs=remap", ...more].join(",");
  const device = `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`;
  return ["-fsdev", `local,id=${tag},path=${path},${options}`, "-device", device];
}

/** Starts the Ceph cluster that the machine mounts, at a separate address. */
async function startCluster(directory: string, stack: AsyncDisposableStack, signal: AbortSignal) {
  const work = `${directory}/ceph`;
  await Deno.mkdir(work);
  const address = [`${onHost.address}/32`, "dev", "lo"];
  await runOrThrow("ip", ["addr", "replace", ...address]);
  // Only here, because a run of other file systems at the same time must not take it away.
  stack.defer(async () => void await run("ip", ["addr", "del", ...address]));
  stack.use(new Script(`${startCeph(onHost.address)}\ntouch $work/ready`, { work }));
  while (!exists(`${work}/ready`)) await pause(500).then(() => signal.throwIfAborted());
}

async function main(directory: string, signal: AbortSignal): Promise<boolean> {
  const kernelPackages = Deno.args.filter((arg) => arg.endsWith(".deb"));
  const args = Deno.args.filter((arg) => !kernelPackages.includes(arg));
  const wantsCeph = args.length === 0 ||
    args.some((arg) => onHost.name.toLowerCase().includes(arg.toLowerCase()));
  const needed = ["cpio", "qemu-system-x86", "gcc", "libc6-dev", "xz-utils"];
  const debian = [...needed, ...wantsCeph ? cephPackages : []];
  await aptInstall(debian.map((each) => [each]), signal);
  say("Fetching Debian's kernel and servers");
  const layer = await makeLayer(directory, kernelPackages, signal);
  const { image, modules } = await findKernel(layer);
  await Deno.writeTextFile(`${layer}/second_script`, secondScript(directory, args));
  const first = `${directory}/first`;
  const folders = ["bin", "dev", "host", "layer", "modules", "proc", "root", "sys", "top"];
  for (const name of folders) await Deno.mkdir(`${first}/${name}`, { recursive: true });
  const script = firstScript(copyModules(modules, drivers, first));
  await Deno.writeTextFile(`${first}/init`, script, { mode: 0o755 });
  await Deno.copyFile(`${layer}/bin/busybox`, `${first}/bin/busybox`);
  await pack(first, `${directory}/initrd`);
  await runOrThrow("truncate", ["-s", DISK, `${directory}/disk`]);
  await runOrThrow("mkfs.ext4", ["-qF", `${directory}/disk`], { signal });

  await using stack = new AsyncDisposableStack();
  const shares = await share(directory, stack);
  if (wantsCeph) await startCluster(directory, stack, signal);
  const output = await runAndShow(EMULATOR, [
    // A nested KVM that cannot run a kernel of Debian's hangs, so this is emulated.
    ...["-machine", "q35,accel=tcg,memory-backend=memory", "-cpu", "max", "-smp", "2"],
    ...["-m", MEMORY, "-object", `memory-backend-memfd,id=memory,size=${MEMORY},share=on`],
    ...["-kernel", image, "-initrd", `${directory}/initrd`, "-nic", "user,model=virtio-net-pci"],
    ...["-append", "console=ttyS0 quiet panic=-1", "-no-reboot", "-nographic"],
    ...["-drive", `file=${directory}/disk,if=virtio,format=raw`],
    ...nine("host", "/", "readonly=on"),
    ...nine("layer", layer, "readonly=on"),
    ...shares,
  ], signal);
  return output.includes(`${END} 0`);
}

if (import.meta.main) {
  const exitCode = await runMain(async (directory, stop) => {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(MINUTES * 60_000)]);
    return await main(directory, signal);
  });
  Deno.exit(exitCode);
}
