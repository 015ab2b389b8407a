// Remedies for known errors.
import { hasUnseen, inOneLine } from "./output.ts";

/** The work during which an error occurred. */
export interface Circumstance {
  /** The path of the source, if it has one. */
  source?: string | undefined;
  /** The path of the destination; absent for standard output. */
  dest?: string;
  /** Whether the destination is a directory to write in. */
  directory?: boolean;
  /** Whether the destination is an atomic file, which needs permissions for its directory. */
  atomic?: boolean | undefined;
  /** Whether the source is open: then the error is about the destination unless it names the source. */
  sourceOpen: boolean;
}

/** An error as an object, for programs. */
export interface ErrorFacts {
  message: string;
  /** The class of the error. */
  name: string;
  /** The symbol of the error number, for example "ENOSPC". */
  code: string | null;
  errno: number | null;
  /** The operation that failed, for example "write". */
  op: string | null;
  /** The path of the file. */
  path: string | null;
  remedy: string | null;
}

/** The facts of an error. Deno's own errors have operation and path only in their message. */
export function errorFacts(error: unknown, message: string, remedy?: string): ErrorFacts {
  const given = (error instanceof Error ? error : {}) as Partial<Omit<ErrorFacts, "remedy">>;
  const [, number, op, path] = /\(os error (\d+)\)(?:: (\w+) '(.*?)'(?:$| ->))?/s.exec(message) ??
    [];
  return {
    message,
    name: given.name ?? "Error",
    code: codeOf(error),
    errno: given.errno ?? (number === undefined ? null : Number(number)),
    op: given.op ?? op ?? null,
    path: given.path ?? path ?? null,
    remedy: remedy ?? null,
  };
}

/** The remedy, or undefined if none is known. */
export function remedyFor(error: unknown, at: Circumstance): string | undefined {
  const code = codeOf(error);
  if (error instanceof Deno.errors.NotCapable) {
    // No smaller permission covers some paths of the kernel, such as those in /dev.
    const flags = error.message.includes("--allow-all") ? "--allow-all" : permissionFlags(at);
    return `give ${flags} before the name of the program`;
  }
  if (code === null) return undefined;
  if (!at.sourceOpen || isOfSource(error, at)) return forSource(code, at);
  const remedy = at.dest === undefined ? undefined : forDest(code, error, at.dest, at.directory);
  return remedy ?? ANYWHERE[code];
}

/** Whether reading failed: an error of this module names the operation, and one of Deno's streams has none. */
function isOfSource(error: unknown, { source, directory }: Circumstance): boolean {
  const { op, path } = error as Partial<ErrorFacts>;
  return !directory && (op === undefined || (op === "read" && path === source));
}

/** All flags that the transfer needs. */
function permissionFlags({ source, dest, atomic = false }: Circumstance): string {
  const written = dest === undefined || !atomic ? dest : parentOf(dest);
  const paths = [source, written].filter((path) => path !== undefined);
  const flags = ["--allow-ffi", pathFlag("--allow-read", ...paths)];
  if (written !== undefined) flags.push(pathFlag("--allow-write", written));
  return flags.join(" ");
}

/** A permission flag for some paths. A path with a comma cannot be named, because Deno takes it for two. */
export function pathFlag(flag: string, ...paths: string[]): string {
  if (paths.some((path) => path.includes(","))) return flag;
  return `${flag}=${paths.map(quoted).join(",")}`;
}

function forSource(code: string, { source, dest }: Circumstance): string | undefined {
  switch (code) {
    case "EISDIR": {
      const pack = `pack it first: tar c ${source === undefined ? "FOLDER" : quoted(source)}`;
      return dest === undefined ? pack : `${pack} | dma write ${quoted(dest)}`;
    }
    case "EACCES":
      if (source === undefined) return undefined;
      return `the permissions of the file system forbid it, not Deno's: ls -l ${quoted(source)}`;
    default:
      return ANYWHERE[code];
  }
}

function forDest(
  code: string,
  error: unknown,
  dest: string,
  directory = false,
): string | undefined {
  const message = error instanceof Error ? error.message : "";
  const bare = dest.replace(/\/+$/, "");
  const where = directory ? dest : parentOf(dest);
  const parent = quoted(where);
  const both = isMissing(dest) || directory ? parent : `${parent} ${quoted(dest)}`;
  switch (code) {
    case "ENOENT":
      // A link may lead into a directory that is missing.
      if (!isMissing(where)) {
        return isLink(dest) ? undefined : `no file can be made there: findmnt -T ${parent}`;
      }
      return `make ${directory ? "it" : "its directory"} first: mkdir -p ${parent}`;
    case "EEXIST":
      return "without --no-clobber it would be replaced";
    case "EISDIR":
      if (isMissing(dest)) return `make the directory first: mkdir -p ${quoted(dest)}`;
      return isFile(bare) ? SLASH : `name a file in it, such as ${quoted(`${bare}/NAME`)}`;
    // With limited permissions the module opens each component of a path itself.
    case "ENOTDIR":
      return isFile(bare) && !directory ? SLASH : undefined;
    case "EACCES":
      return `the permissions of the file system forbid it, not Deno's: ls -ld ${both}`;
    case "EPERM":
      // The message names the reason.
      if (message.includes("sticky")) return undefined;
      return `lsattr -d ${both} shows what is immutable or append-only`;
    case "EROFS":
      return `its file system is mounted read-only: findmnt -T ${parent}`;
    case "ENOSPC":
      return `make room, or write elsewhere: df -h ${parent}`;
    case "ETXTBSY":
      return "it is a program that is running: --atomic replaces it";
    case "EOPNOTSUPP":
      if (message.includes("Direct I/O")) return "--direct prefer uses the page cache there";
      if (message.includes("regular file")) {
        return "use cat or dd to write to anything but a regular file, and - for standard output";
      }
      return undefined;
    default:
      return undefined;
  }
}

const SLASH = "it is a file: leave out the slash at the end";

const ANYWHERE: Record<string, string> = {
  EDQUOT: "your quota is used up: quota -s",
  EFBIG: "if a limit is the reason, ulimit -f unlimited lifts it",
  EIO: "if a device failed, dmesg says more; a limit (ulimit -f) inside a block ends a write too",
  EMFILE: "ulimit -n 4096 allows more",
  ENOMEM: "a smaller --buffer-size or --write-behind takes less memory",
};

/** The symbol of the error number. Deno's own errors have one too. */
function codeOf(error: unknown): string | null {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : null;
}

function isMissing(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

function parentOf(path: string): string {
  const parent = path.replace(/\/+$/, "").replace(/[^/]*$/, "");
  return parent === "" ? "." : parent.replace(/(?<=.)\/+$/, "");
}

/** A path quoted for a shell, in one line. It is never taken for an option. */
export function quoted(path: string): string {
  if (path.startsWith("-")) return quoted(`./${path}`);
  if (hasUnseen(path)) return `$'${inOneLine(path.replace(/[\\']/g, "\\$&"))}'`;
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
