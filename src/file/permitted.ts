// Names that Deno's permissions allow: by the path that the caller gave, and by the real path of what was found there.
// Deno resolves `..` by text and follows symbolic links; the file system decides where they lead.

import type { Engine } from "../engine/engine.ts";
import { type Access, assertGranted, demand, limitedOf } from "../permissions.ts";
import { openWorkingDirectory } from "./directory.ts";
import { FileName } from "./file_name.ts";

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

/** Demands `limited` for the real path of a name. */
export async function demandName(name: FileName, limited: readonly Access[]): Promise<void> {
  if (limited.length > 0) await demand(limited, realPathOf(name.realPath, name.path));
}

/** Throws if a permission was revoked after the name was found. */
export function assertStillPermitted(name: FileName, access: readonly Access[]): void {
  const limited = limitedOf(access);
  if (limited.length > 0) assertGranted(limited, realPathOf(name.realPath, name.path));
}

/** The real path that was found for what the user calls `path`. Throws if there is none. */
export function realPathOf(real: string | undefined, path: string): string {
  if (real?.startsWith("/")) return real;
  throw new Deno.errors.NotCapable(
    `Cannot find the real path of "${path}", which a limited permission is checked against: it has none, it is not UTF-8, or /proc is not mounted`,
  );
}
