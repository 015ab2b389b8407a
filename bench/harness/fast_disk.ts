// A disk that is faster than the CPU: ext4 on a loop device with Direct I/O over a file in tmpfs. It shows the cost of an
// operation that does not wait for its device, as on the fastest NVMe disks.

import { atEnd } from "./bench_directory.ts";

/** Runs a command that must succeed, and returns its output. */
function run(command: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(command, { args }).outputSync();
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`${command} ${args.join(" ")} failed: ${error}`);
  return out!.trim();
}

/** Mounts such a disk with room for `bytes` until the process ends. Needs root, and memory for all of it. */
export function mountFastDisk(bytes: number): string {
  const path = Deno.makeTempDirSync({ prefix: "dma-fast-disk-" });
  atEnd(() => Deno.removeSync(path));
  const image = Deno.makeTempFileSync({ dir: "/dev/shm", prefix: "dma-fast-disk-" });
  atEnd(() => Deno.removeSync(image));
  Deno.truncateSync(image, bytes);
  run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image);
  const device = run("losetup", "--find", "--show", "--direct-io=on", image);
  atEnd(() => run("losetup", "--detach", device));
  run("mount", device, path);
  // A program that was measured may have a file open still.
  atEnd(() => run("umount", "--lazy", path));
  return path;
}
