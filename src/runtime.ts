// Imported first. Throws one clear error if the runtime is not Deno, or is too old.

/** The oldest Deno that the test suite runs on. */
export const OLDEST_DENO = "2.8.0";

if (typeof Deno === "undefined" || typeof Deno.dlopen !== "function") {
  throw new Error(
    "@denodma/dma runs only on Deno: it reaches the kernel through Deno's FFI. Run the program with " +
      "`deno run --allow-ffi --allow-read --allow-write`; in Node.js and Bun use node:fs",
  );
}

/** A number that grows with the version. A comparison with `Intl` would take 9 ms of each program's start. */
function rank(version: string): number {
  return version.split(".", 3).reduce((sum, part) => sum * 1000 + Number.parseInt(part), 0);
}

if (rank(Deno.version.deno) < rank(OLDEST_DENO)) {
  throw new Error(
    `@denodma/dma needs Deno ${OLDEST_DENO} or newer, and this is Deno ${Deno.version.deno}: run \`deno upgrade\``,
  );
}
