// Asks for Deno's permissions, which a call through FFI bypasses, before anything is opened. Errors are those of Deno
// itself.

/** What a path is opened for. */
export type Access = "read" | "write";

/** The kinds of access that are limited to some paths. */
export function limitedOf(access: readonly Access[]): Access[] {
  return access.filter((name) => {
    const { state, partial } = Deno.permissions.querySync({ name });
    return state !== "granted" || partial;
  });
}

/**
 * Asks for permissions; Deno may prompt for them. Messages name `shown`.
 *
 * @throws {Deno.errors.NotCapable} one of them is not given
 */
export async function demand(
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

/** As {@linkcode demand}, without a prompt. */
export function assertGranted(access: readonly Access[], path: string): void {
  for (const name of access) if (!isGranted(name, path)) throw notCapable(name, path);
}

function isGranted(name: Access, path: string): boolean {
  return Deno.permissions.querySync({ name, path }).state === "granted";
}

function notCapable(access: Access, path: string): Error {
  return new Deno.errors.NotCapable(
    `Requires ${access} access to "${path}", run again with the --allow-${access} flag`,
  );
}
