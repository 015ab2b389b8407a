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

/** The texts of the error numbers from 0 to `most`, as strerror(3) gives them. */
export function errorTexts(most: number): string[] {
  const libc = openLibc({ strerror: { parameters: ["i32"], result: "pointer" } });
  const textOf = (errno: number) =>
    Deno.UnsafePointerView.getCString(libc.symbols.strerror(errno)!);
  const texts = Array.from({ length: most + 1 }, (_, errno) => textOf(errno));
  libc.close();
  return texts;
}
