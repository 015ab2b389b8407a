// Which descriptors of this process lead to a file: the plainest proof that one was closed.

/** How many descriptors lead to `path`, which may have been removed. */
export function descriptorsOf(path: string): number {
  const real = realPath(path);
  let count = 0;
  for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`).replace(/ \(deleted\)$/, "");
      if (target === real) count++;
    } catch {
      // The descriptor of the listing itself.
    }
  }
  return count;
}

/** How many descriptors lead into `directory`, to files without a name as well. */
export function descriptorsIn(directory: string): number {
  const real = Deno.realPathSync(directory);
  let count = 0;
  for (const { name } of [...Deno.readDirSync("/proc/self/fd")]) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith(`${real}/`)) count++;
    } catch {
      // As above.
    }
  }
  return count;
}

function realPath(path: string): string {
  const slash = path.lastIndexOf("/");
  return Deno.realPathSync(path.slice(0, slash)) + path.slice(slash);
}

/** Waits until `condition` holds, at most ten seconds. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`It never came true: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
