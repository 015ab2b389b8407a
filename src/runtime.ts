// Imported first. Throws one clear error if the runtime is not Deno, or is too old.

/** The oldest Deno that the test suite runs on. */
export const OLDEST_DENO = "2.8.0";

if (typeof Deno === "undefined" || typeof Deno.dlopen !== "function") {
  throw new Error(
    "@denodma/dma runs only on Deno: it reaches the kernel through Deno's FFI. Run the program with " +
      "`deno run --allow-ffi --allow-read --allow-write`; in Node.js and Bun use node:fs",
  );
}

if (isOlder(Deno.version.deno, OLDEST_DENO)) {
  throw new Error(
    `@denodma/dma needs Deno ${OLDEST_DENO} or newer, and this is Deno ${Deno.version.deno}: run \`deno upgrade\``,
  );
}

/** Whether a version comes before another one, by its first two numbers. */
function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0] = than.split(".").map(Number);
  return major < leastMajor || major === leastMajor && minor < leastMinor;
}
