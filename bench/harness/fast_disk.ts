// A disk that is faster than the CPU: ext4 on a loop device with Direct I/O over a file in tmpfs. It shows the cost of an
// operation that does not wait for its device, as on the fastest NVMe disks.

/** Runs a command that must succeed; resolves to its output. */
async function run(command: string, ...args: string[]): Promise<string> {
  const output = await new Deno.Command(command, { args }).output();
  const [out, error] = [output.stdout, output.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  if (!output.success) throw new Error(`${command} ${args.join(" ")} failed: ${error}`);
  return out!.trim();
}

/** Mounts such a disk with room for `bytes`. Disposing it removes everything. Needs root, and memory for all of it. */
export async function mountFastDisk(
  bytes: number,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "dma-fast-disk-" });
  const image = await Deno.makeTempFile({ dir: "/dev/shm", prefix: "dma-fast-disk-" });
  let device: string | undefined;
  const undo = async () => {
    if (device) {
      await run("umount", path).catch(() => {});
      await run("losetup", "--detach", device);
    }
    await Deno.remove(image);
    await Deno.remove(path);
  };
  try {
    await Deno.truncate(image, bytes);
    await run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image);
    device = await run("losetup", "--find", "--show", "--direct-io=on", image);
    await run("mount", device, path);
  } catch (error) {
    await undo();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: undo };
}
