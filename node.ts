/**
 * Node.js streams over {@linkcode DmaStreamWriter} and {@linkcode DmaStreamReader}, for libraries that take Node.js
 * streams.
 *
 * `Writable.fromWeb(writer)` of `node:stream` closes the writer when the stream is destroyed without an error, and so
 * publishes an incomplete atomic file. The stream of {@linkcode toNodeWritable} aborts the writer instead.
 *
 * @example Compress a file into one that appears only when it is complete
 * ```ts
 * import { DmaFile } from "@denodma/dma";
 * import { toNodeReadable, toNodeWritable } from "@denodma/dma/node";
 * import { pipeline } from "node:stream/promises";
 * import { createGzip } from "node:zlib";
 *
 * await Deno.writeFile("access.log", new Uint8Array(100_000));
 * const from = await DmaFile.open("access.log");
 * const to = await DmaFile.create("access.log.gz", { atomic: true });
 * await pipeline(toNodeReadable(from.readable), createGzip(), toNodeWritable(to.writable));
 * ```
 *
 * @module
 */

import "./src/runtime.ts";

export { toNodeReadable, toNodeWritable } from "./src/node_streams.ts";
