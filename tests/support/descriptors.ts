// Finds the descriptors of this process that lead to a file, to prove that they were closed.

/** The number of descriptors that lead to `path`, which may have been removed. */
export function descriptorsOf(path: string): number {
  const slash = path.lastIndexOf("/");
  const real = Deno.realPathSync(path.slice(0, slash)) + path.slice(slash);
  return openTargets().filter((target) => target === real).length;
}

/** The targets of the descriptors that lead to `directory` or into it, files without a name included. */
export function descriptorTargets(directory: string): string[] {
  const real = Deno.realPathSync(directory);
  return openTargets().filter((target) => target === real || target.startsWith(`${real}/`));
}

/** The number of descriptors that lead into `directory`, files without a name included. */
export function descriptorsIn(directory: string): number {
  const real = Deno.realPathSync(directory);
  return descriptorTargets(directory).filter((target) => target !== real).length;
}

/** All descriptors: their paths in /proc, and their targets. Those of files without a name have the name that they had. */
export function openDescriptors(): { path: string; target: string }[] {
  return [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    const path = `/proc/self/fd/${name}`;
    try {
      return [{ path, target: Deno.readLinkSync(path).replace(/ \(deleted\)$/, "") }];
    } catch {
      // The descriptor of the listing itself.
      return [];
    }
  });
}

export function openTargets(): string[] {
  return openDescriptors().map(({ target }) => target);
}
