// Makes the boot files of an emulated machine for aarch64: an initial file system in memory, with a script that does
// all the work, and a disk with Deno, this module and its tests.

import { offlineImports } from "../../setup/import_map.ts";
import { runOrThrow } from "../../setup/command.ts";
import { copyModules, pack } from "../../setup/initramfs.ts";

/** Drivers of the disk and its file system, each after its undeclared dependencies. */
const drivers = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

/** The output of the script before each step, and at its end. */
export const MARK = "guest:";

const flags = "-A --no-check --no-config";

/** A large file on the disk, all of whose blocks differ. */
const COPIED = "/mnt/deno";

const DISK_BYTES = 2 * 1024 ** 3;

/** The paths on the host. */
export interface GuestParts {
  /** The project. */
  readonly root: string;
  /** Unpacked packages for aarch64. */
  readonly packages: string;
  /** Programs for aarch64. */
  readonly deno: string;
  readonly selfTest: string;
  readonly shim: string;
  /** Parts of the self-test. */
  readonly parts: readonly string[];
  /** Files of tests, from the project's root. */
  readonly tests: readonly string[];
}

/** The script that is the first process. */
function script({ parts, tests }: GuestParts, modules: readonly string[]): string {
  return [
    "#!/bin/busybox sh",
    "/bin/busybox --install -s /bin",
    "mkdir -p /proc /sys /dev /tmp /mnt",
    "mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev",
    "mount -t tmpfs tmp /tmp; ip link set lo up",
    ...modules.map((name) => `insmod /modules/${name}.ko`),
    "mount -t ext4 /dev/vda /mnt",
    "export LD_LIBRARY_PATH=/lib NO_COLOR=1 HOME=/tmp TMPDIR=/mnt/t DENO_DIR=/mnt/cache",
    `echo "${MARK} kernel $(uname -srm)"`,
    ...parts.flatMap((part) => [
      `mkdir -p /mnt/t/${part}; echo "${MARK} part ${part}"`,
      `/self_test /shim.so /mnt/t/${part} ${part}`,
    ]),
    `echo "${MARK} copy"; cd /mnt/project`,
    `/mnt/deno run ${flags} tests/ffi/architectures/copy.ts ${COPIED} /mnt/t/target`,
    `cd /mnt/t; cmp ${COPIED} target && cmp ${COPIED} target.atomic && echo "${MARK} copied"`,
    "cd /mnt/project",
    `echo "${MARK} tests"; export DMA_TEST_DIRS=/mnt/t`,
    `/mnt/deno test ${flags} --import-map=/mnt/import_map.json ${tests.join(" ")}`,
    `echo "${MARK} end $?"; sync; poweroff -f`,
    "",
  ].join("\n");
}

/** Writes `initrd` and `disk` into `directory`, and resolves to the kernel's path. */
export async function makeGuest(parts: GuestParts, directory: string): Promise<string> {
  const { packages, root } = parts;
  const first = `${directory}/first`;
  for (const name of ["bin", "lib", "modules"]) {
    await Deno.mkdir(`${first}/${name}`, { recursive: true });
  }
  const order = copyModules(`${packages}/lib/modules`, drivers, first);
  await Deno.writeTextFile(`${first}/init`, script(parts, order), { mode: 0o755 });
  const libraries = `${packages}/lib/aarch64-linux-gnu`;
  for (const { name, isFile, isSymlink } of Deno.readDirSync(libraries)) {
    if (isFile || isSymlink) await Deno.copyFile(`${libraries}/${name}`, `${first}/lib/${name}`);
  }
  const liburing = `${packages}/usr/lib/aarch64-linux-gnu/liburing.so.2`;
  await Deno.copyFile(liburing, `${first}/lib/liburing.so.2`);
  await Deno.copyFile(`${packages}/bin/busybox`, `${first}/bin/busybox`);
  await Deno.copyFile(parts.selfTest, `${first}/self_test`);
  await Deno.copyFile(parts.shim, `${first}/shim.so`);
  await pack(first, `${directory}/initrd`);

  const content = `${directory}/content`;
  await Deno.mkdir(`${content}/project`, { recursive: true });
  await Deno.mkdir(`${content}/t`);
  await Deno.rename(parts.deno, `${content}/deno`);
  const project = ["mod.ts", "src", "ffi", "tests", "deno.json"].map((name) => `${root}/${name}`);
  await runOrThrow("cp", ["-r", ...project, `${content}/project`]);
  const imports = await offlineImports(`${content}/project`, "/mnt/project");
  await Deno.writeTextFile(`${content}/import_map.json`, JSON.stringify({ imports }));
  const disk = `${directory}/disk`;
  using file = await Deno.create(disk);
  await file.truncate(DISK_BYTES);
  await runOrThrow("mkfs.ext4", ["-q", "-F", "-d", content, disk]);

  const kernel = [...Deno.readDirSync(`${packages}/boot`)].find(({ name }) => /^vmlinu/.test(name));
  return `${packages}/boot/${kernel?.name}`;
}
