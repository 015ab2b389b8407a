// Which descriptors of this process lead to a file: the plainest proof that one was closed.

/** How many descriptors lead to `path`, which may have been removed. */
export function descriptorsOf(path: string): number {
  const real = realPath(path);
  return targets().filter((target) => target === real).length;
}

/** Where the descriptors lead that lead to `directory`, or into it, also to files without a name. */
export function descriptorTargets(directory: string): string[] {
  const real = Deno.realPathSync(directory);
  return targets().filter((target) => target === real || target.startsWith(`${real}/`));
}

/** How many descriptors lead into `directory`, to files without a name as well. */
export function descriptorsIn(directory: string): number {
  const real = Deno.realPathSync(directory);
  return descriptorTargets(directory).filter((target) => target !== real).length;
}

/** Where all descriptors lead. */
function targets(): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    try {
      return [Deno.readLinkSync(`/proc/self/fd/${name}`).replace(/ \(deleted\)$/, "")];
    } catch {
      // The descriptor of the listing itself.
      return [];
    }
  });
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
