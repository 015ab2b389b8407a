// Deno's permissions, which a call through FFI would pass by: asked for before anything is opened, with the
// error that Deno itself would give.

/** What a path is opened for. */
export type Access = "read" | "write";

/** Whether everything may be accessed so: then no real path needs asking for. */
export function allowsAll(access: Access): boolean {
  const { state, partial } = Deno.permissions.querySync({ name: access });
  return state === "granted" && !partial;
}

/**
 * Asks for a permission; Deno may prompt for it.
 *
 * @throws {Deno.errors.NotCapable} it is not given
 */
export async function demand(access: Access, path: string): Promise<void> {
  const descriptor = { name: access, path } as const;
  if (Deno.permissions.querySync(descriptor).state === "granted") return;
  const { state } = await Deno.permissions.request(descriptor);
  if (state !== "granted") {
    throw new Deno.errors.NotCapable(
      `Requires ${access} access to "${path}", run again with the --allow-${access} flag`,
    );
  }
}
