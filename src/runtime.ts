// Imported before anything else: the one error for runtimes that are not Deno.

if (typeof Deno === "undefined" || typeof Deno.dlopen !== "function") {
  throw new Error(
    "@denodma/dma runs on Deno alone: it reaches the kernel through Deno's FFI. Run the program by " +
      "`deno run --allow-ffi --allow-read --allow-write`; in Node.js and Bun use node:fs",
  );
}
