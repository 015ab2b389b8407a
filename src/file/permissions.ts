// Deno's permissions, which a call through FFI bypasses. They are asked for before anything is opened: by the path that the
// caller gave, and by the real path of what was found there. Deno resolves `..` by text and follows symbolic links; the file
// system decides where they lead. Errors are those of Deno itself.

import type { Engine } from "../engine/engine.ts";
import { openWorkingDirectory } from "./directory.ts";
import { FileName } from "./file_name.ts";

/** What a path is opened for. */
export type Access = "read" | "write";

/** Those that Deno can be asked for by name. Its types do not have the last one. */
const ALL = ["read", "write", "env", "run", "net", "sys", "ffi", "import" as "ffi"] as const;

/** Where Deno opens nothing unless everything is allowed: devices, shared memory, and views of the kernel. */
const SPECIAL = /^\/(dev|proc|sys)(\/|$)/;

/** The kinds of access that are limited to some paths. */
export function limitedOf(access: readonly Access[]): Access[] {
  return access.filter((name) => !isUnlimited(name));
}

function isUnlimited(name: Deno.PermissionName): boolean {
  const { state, partial } = Deno.permissions.querySync({ name });
  return state === "granted" && !partial;
}

function isGranted(name: Access, path: string): boolean {
  return Deno.permissions.querySync({ name, path }).state === "granted";
}

/** Asks for permissions; Deno may prompt for them. Errors name `shown`. */
async function demand(
  access: readonly Access[],
  path: string,
  shown: string = path,
): Promise<void> {
  for (const name of access) {
    if (isGranted(name, path)) continue;
    const { state } = await Deno.permissions.request({ name, path });
    if (state !== "granted") throw notCapable(name, shown);
  }
}

function notCapable(access: Access | "all", path: string): Error {
  return new Deno.errors.NotCapable(
    `Requires ${access} access to "${path}", run again with the --allow-${access} flag`,
  );
}

/**
 * Finds a path as it stands at the time of the call, and resolves to its name when access is allowed. A path that is not
 * allowed is refused with the same error whether it exists or not. `whole` is that of {@linkcode FileName.lookUp}.
 */
export async function findPermitted(
  engine: Engine,
  path: string,
  access: readonly Access[],
  whole = false,
): Promise<FileName> {
  const finding = FileName.lookUp(engine, path, whole);
  finding.catch(() => {});
  const limited = limitedOf(access);
  try {
    if (limited.length > 0) await demand(limited, absolutePath(engine, path), path);
  } catch (error) {
    finding.then((name) => name.release(), () => {});
    throw error;
  }
  return await finding;
}

/** The path from the root: a relative one would change with the working directory. */
function absolutePath(engine: Engine, path: string): string {
  if (path.startsWith("/")) return path;
  const fd = openWorkingDirectory(engine);
  const directory = fd < 0 ? undefined : engine.realPath(fd);
  if (fd >= 0) engine.runNow({ op: "close", fd });
  return directory === undefined ? path : `${directory}/${path}`;
}

/** Demands the {@linkcode limitedOf | limited} kinds of access to the real path of a name. */
export async function demandName(name: FileName, limited: readonly Access[]): Promise<void> {
  if (limited.length > 0) await demandReal(name.realPath, name.path, limited);
  // What is on a disk is elsewhere.
  if (name.directory.facts.deviceMajor === 0) checkSpecial(name.realPath);
}

/** Demands access to the real path that was found for what the user calls `path`. */
export async function demandReal(
  real: string | undefined,
  path: string,
  access: readonly Access[],
): Promise<void> {
  await demand(access, knownPath(real, path));
}

/** Throws if a permission was revoked after the name was found. Deno does not prompt. */
export function assertStillPermitted(name: FileName, access: readonly Access[]): void {
  for (const each of limitedOf(access)) {
    const real = knownPath(name.realPath, name.path);
    if (!isGranted(each, real)) throw notCapable(each, real);
  }
}

function knownPath(real: string | undefined, path: string): string {
  if (real?.startsWith("/")) return real;
  throw new Deno.errors.NotCapable(
    `Cannot find the real path of "${path}", which a limited permission is checked against: it has none, it is not UTF-8, or /proc is not mounted`,
  );
}

/** Throws if Deno would not open a file with this real path, whatever may be read and written. */
export function checkSpecial(real: string | undefined): void {
  if (real && SPECIAL.test(real) && !ALL.every(isUnlimited)) throw notCapable("all", real);
}
