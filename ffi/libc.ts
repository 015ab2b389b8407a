// Opens the C library that Deno itself runs on.

/** libc with these functions. The caller closes it. */
export function openLibc<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): Deno.DynamicLibrary<S> {
  // The empty name is the program itself. With musl that fails, and the library has a name for each architecture.
  const names = ["", "libc.so.6", `libc.musl-${Deno.build.arch}.so.1`];
  for (const [index, name] of names.entries()) {
    try {
      return Deno.dlopen(name, symbols);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable || index === names.length - 1) throw error;
    }
  }
  throw new Error("Cannot open the C library");
}
