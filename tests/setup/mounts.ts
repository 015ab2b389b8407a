// What is mounted where, as the kernel tells it: for naming test directories and for taking mounts
// down.

/** One line of /proc/self/mountinfo, as far as tests need it. */
export interface Mount {
  readonly path: string;
  readonly fileSystem: string;
}

/** Every mount this process sees, in the order they were made. */
export function listMounts(): Mount[] {
  const lines = Deno.readTextFileSync("/proc/self/mountinfo").trimEnd().split("\n");
  return lines.map((line) => {
    // proc(5): optional fields stand between the mount options and a lone hyphen, so count from
    // both ends.
    const [before = "", after = ""] = line.split(" - ");
    return { path: unescape(before.split(" ")[4] ?? ""), fileSystem: after.split(" ")[0] ?? "" };
  });
}

/** The mount that `path` (absolute, without symbolic links) lies on. */
export function mountOf(path: string): Mount {
  let found: Mount = { path: "/", fileSystem: "unknown" };
  for (const mount of listMounts()) {
    // `>=`: of two mounts on one directory, the later one hides the earlier.
    if (isWithin(path, mount.path) && mount.path.length >= found.path.length) found = mount;
  }
  return found;
}

/** Whether `path` is `directory` or lies below it. */
export function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** The kernel writes space, tab, newline and backslash as three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
