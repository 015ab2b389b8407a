// Deno's permissions, which a call through FFI bypasses. They are checked before a file is opened, for the caller's
// path and for the real path, which alone shows where `..` and symbolic links lead. A link in /proc may lead to a mount
// of another process, where another file may have that real path: it is not followed while permissions are limited to
// paths. Errors are Deno's own.

import type { Engine } from "../engine/engine.ts";
import { Errno, RESOLVE_NO_MAGICLINKS } from "../engine/linux.ts";
import { ioError, unwrap } from "../errors.ts";
import { openWorkingDirectory } from "./directory.ts";
import { FileName } from "./file_name.ts";

export type Access = "read" | "write";

/** The permissions that Deno can query by name. Its types lack the last one. */
const ALL = ["read", "write", "env", "run", "net", "sys", "ffi", "import" as "ffi"] as const;

/** The paths that Deno opens only with all permissions: devices, shared memory, and kernel views. */
const SPECIAL = /^\/(dev|proc|sys)(\/|$)/;

/** The wanted kinds of access whose permissions are limited to some paths now. A query takes some 2 µs. */
export function limitedOf(wanted: { readonly [Kind in Access]?: boolean }): Access[] {
  return (["read", "write"] as const).filter((kind) => wanted[kind] && !isUnlimited(kind));
}

function isUnlimited(name: Deno.PermissionName): boolean {
  const { state, partial } = Deno.permissions.querySync({ name });
  return state === "granted" && !partial;
}

/** Requests permissions, for which Deno may prompt if they are not granted. Errors name `shown`. */
export async function demand(access: readonly Access[], path: string, shown = path): Promise<void> {
  for (const name of access) {
    const { state } = await Deno.permissions.request({ name, path });
    if (state === "granted") continue;
    // A path that `--ignore-read` covers is missing for Deno's own calls. A query reports it as denied.
    const missing = name === "read" && await Deno.lstat(path).catch((error) => error);
    if (missing instanceof Deno.errors.NotFound) throw ioError(Errno.ENOENT, "open", shown);
    throw notCapable(name, shown);
  }
}

function notCapable(access: Access | "all", path: string): Error {
  return new Deno.errors.NotCapable(
    `Requires ${access} access to "${path}", run again with the --allow-${access} flag`,
  );
}

/** Looks a path up at the time of the call. The error for a forbidden path does not reveal whether it exists. */
export async function findPermitted(
  engine: Engine,
  path: string,
  limited: readonly Access[],
  whole = false,
): Promise<FileName> {
  checkText(engine, path);
  if (limited.length === 0) return await FileName.find(engine, path, whole);
  const finding = FileName.find(engine, path, whole, RESOLVE_NO_MAGICLINKS);
  finding.catch(() => {});
  try {
    await demand(limited, absolutePath(engine, path), path);
  } catch (error) {
    finding.then((name) => name.release(), () => {});
    throw error;
  }
  return await finding;
}

/** Throws if Deno would not open a path because of its text, in which it resolves `..` itself. */
function checkText(engine: Engine, path: string): void {
  // If only the working directory has such a name, the real path shows it.
  if (!/(^|\/)(dev|proc|sys)(\/|$)/.test(path)) return;
  const parts: string[] = [];
  for (const part of absolutePath(engine, path).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  checkSpecial(`/${parts.join("/")}`);
}

/** The path from the root: a relative one would change with the working directory. */
function absolutePath(engine: Engine, path: string): string {
  if (path.startsWith("/")) return path;
  // Without a descriptor the text alone could be mistaken for a path from the root.
  const fd = unwrap(openWorkingDirectory(engine), "open", path);
  try {
    const directory = engine.realPath(fd);
    return directory === undefined ? path : `${directory}/${path}`;
  } finally {
    engine.runNow({ op: "close", fd });
  }
}

/** Demands access to the real path of a name. Undefined if there is nothing to wait for. */
export function demandName(name: FileName, limited: readonly Access[]): Promise<void> | undefined {
  const check = () => {
    if (isRefused(name)) checkSpecial(name.realPath);
  };
  if (limited.length > 0) return demand(limited, knownPath(name.realPath, name.path)).then(check);
  return void check();
}

export function isRefused({ directory }: FileName): boolean {
  // A rename does not move a directory into a mount or out of it.
  return lacksAll(directory.firstPath);
}

/** Throws if the permission to write was revoked after the name was found. Deno does not prompt. */
export function assertStillWritable(name: FileName): void {
  if (isUnlimited("write")) return;
  const real = knownPath(name.realPath, name.path);
  const { state } = Deno.permissions.querySync({ name: "write", path: real });
  if (state !== "granted") throw notCapable("write", real);
}

/** The real path of the user's `path`. Throws if it is not known. */
export function knownPath(real: string | undefined, path: string): string {
  if (real?.startsWith("/")) return real;
  throw new Deno.errors.NotCapable(
    `Cannot find the real path of "${path}", which a limited permission is checked against: it has none, it is not UTF-8, or /proc is not mounted`,
  );
}

function lacksAll(real = ""): boolean {
  return SPECIAL.test(real) && !ALL.every(isUnlimited);
}

/** Throws if Deno would not open a file with this real path, even with read and write permission. */
export function checkSpecial(real: string | undefined): void {
  if (lacksAll(real)) throw notCapable("all", real!);
}
