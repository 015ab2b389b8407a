// The kernel's list of mounts, for the names of test directories and for unmounting.

export interface Mount {
  readonly path: string;
  readonly fileSystem: string;
}

/** Every mount of this process, in the order of mounting. */
export function listMounts(): Mount[] {
  const lines = Deno.readTextFileSync("/proc/self/mountinfo").trimEnd().split("\n");
  return lines.map((line) => {
    // proc(5): a variable number of fields stands before a lone hyphen, so both sides are counted separately.
    const [before = "", after = ""] = line.split(" - ");
    return { path: unescape(before.split(" ")[4] ?? ""), fileSystem: after.split(" ")[0] ?? "" };
  });
}

export function isMounted(path: string): boolean {
  return listMounts().some((mount) => mount.path === path);
}

/** The mount of `path`, which is absolute and has no symbolic links. */
export function mountOf(path: string): Mount {
  let found: Mount = { path: "/", fileSystem: "unknown" };
  for (const mount of listMounts()) {
    // `>=`: of two mounts on one directory, the later one hides the earlier.
    if (isWithin(path, mount.path) && mount.path.length >= found.path.length) found = mount;
  }
  return found;
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** The kernel writes space, tab, newline and backslash as three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
