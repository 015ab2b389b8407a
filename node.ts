/**
 * Node.js streams over {@linkcode DmaStreamWriter} and {@linkcode DmaStreamReader}, for libraries that want those.
 *
 * `Writable.fromWeb(writer)` of `node:stream` closes the writer when the stream is destroyed without an error, so that an
 * atomic file appears with a part of its bytes. {@linkcode toNodeWritable} aborts it.
 *
 * @example Compress a file into one that appears only when it is whole
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
