// Opens libraries. Deno compiles each function of a library when it opens it, which takes 0.1 ms. Functions that are not
// called often are called through their pointers instead: some 10 µs a call.

type Definition = Deno.ForeignFunction | Deno.ForeignStatic;

/** A library with these functions and pointers. Only the functions that `compiled` names are compiled. */
export function openLibrary<const S extends Deno.ForeignLibraryInterface>(
  path: string,
  symbols: S,
  compiled: readonly (keyof S & string)[] = [],
): Deno.DynamicLibrary<S> {
  const wanted: Record<string, Definition> = { ...symbols };
  const called: [string, Deno.ForeignFunction][] = [];
  for (const [name, definition] of Object.entries<Definition>(symbols)) {
    if (!("parameters" in definition) || compiled.includes(name)) continue;
    called.push([name, definition]);
    const optional = definition.optional === true;
    wanted[name] = { name: definition.name ?? name, type: "pointer", optional };
  }
  const library = Deno.dlopen(path, wanted);
  const found: Record<string, unknown> = { ...library.symbols };
  for (const [name, definition] of called) {
    const pointer = found[name] as Deno.PointerObject<typeof definition> | null;
    if (!pointer) continue;
    const target = new Deno.UnsafeFnPointer(pointer, definition);
    found[name] = target.call.bind(target);
  }
  return { symbols: found, close: () => library.close() } as Deno.DynamicLibrary<S>;
}

/** Functions of the C library that Deno itself runs on, which is never unloaded. */
export function openLibc<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
  compiled: readonly (keyof S & string)[] = [],
): Deno.DynamicLibrary<S>["symbols"] {
  const open = (name: string) => {
    const libc = openLibrary(name, symbols, compiled);
    libc.close();
    return libc.symbols;
  };
  // Deno refuses the path of the program itself in words that do not name the permission.
  const { state, partial } = Deno.permissions.requestSync({ name: "ffi" });
  if (state !== "granted" || partial) {
    throw new Deno.errors.NotCapable("Requires ffi access, run again with the --allow-ffi flag");
  }
  try {
    return open("");
  } catch {
    // With musl that fails, and the library has a name for each architecture.
    return open(`libc.musl-${Deno.build.arch}.so.1`);
  }
}

let libc: { strerror(errno: number): Deno.PointerValue } | undefined;

/** The text of an error number, as strerror(3) gives it. */
export function errorText(errno: number): string {
  libc ??= openLibc({ strerror: { parameters: ["i32"], result: "pointer" } }, ["strerror"]);
  return Deno.UnsafePointerView.getCString(libc.strerror(errno)!);
}
