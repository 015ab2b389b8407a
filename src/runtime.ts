// Imported first. Throws one clear error if the runtime is not Deno, or is too old.

/** The oldest Deno that the test suite runs on. */
export const OLDEST_DENO = "2.8.0";

if (typeof Deno === "undefined" || typeof Deno.dlopen !== "function") {
  throw new Error(
    "@denodma/dma runs only on Deno: it reaches the kernel through Deno's FFI. Run the program with " +
      "`deno run --allow-ffi --allow-read --allow-write`; in Node.js and Bun use node:fs",
  );
}

if (Deno.version.deno.localeCompare(OLDEST_DENO, "en", { numeric: true }) < 0) {
  throw new Error(
    `@denodma/dma needs Deno ${OLDEST_DENO} or newer, and this is Deno ${Deno.version.deno}: run \`deno upgrade\``,
  );
}
