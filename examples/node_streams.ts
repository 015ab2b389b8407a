/**
 * Node.js streams into and out of Direct I/O. `node:fs` reads a file, and `node:zlib` compresses it into an atomic file,
 * which is then read back, unpacked and compared.
 *
 * ```sh
 * deno run --allow-ffi --allow-read=. --allow-write=. examples/node_streams.ts access.log access.log.gz
 * ```
 *
 * @module
 */
import { DmaFile } from "@denodma/dma";
import { toNodeReadable, toNodeWritable } from "@denodma/dma/node";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";

/** Compresses `from` into `to`, which appears only when it is complete and durable. Resolves to the digest of `from`. */
async function compress(from: string, to: string): Promise<string> {
  const digest = createHash("sha256");
  const file = await DmaFile.create(to, { atomic: true });
  await pipeline(
    createReadStream(from),
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        digest.update(chunk);
        yield chunk;
      }
    },
    createGzip(),
    // If any of these streams fails, pipeline destroys the last one, which aborts the writer: no file appears.
    // Destroyed without an error, Writable.fromWeb(file.writable) would close the writer, and an incomplete file would
    // appear.
    toNodeWritable(file.writable),
  );
  return digest.digest("hex");
}

/** Unpacks a file, and resolves to the digest of what was in it. */
async function digestOfCompressed(path: string): Promise<string> {
  const digest = createHash("sha256");
  const file = await DmaFile.open(path);
  await pipeline(toNodeReadable(file.readable), createGunzip(), digest);
  return digest.digest("hex");
}

if (import.meta.main) {
  const [from, to] = Deno.args;
  if (from === undefined || to === undefined) {
    console.error("Usage: node_streams.ts SOURCE DEST.gz");
    Deno.exit(2);
  }
  const wanted = await compress(from, to);
  const found = await digestOfCompressed(to);
  if (found !== wanted) throw new Error(`'${to}' holds ${found}, and '${from}' is ${wanted}`);
  const [before, after] = [await Deno.stat(from), await Deno.stat(to)];
  console.log(`${from}: ${before.size} bytes, SHA-256 ${wanted}`);
  console.log(`${to}: ${after.size} bytes, durable, holds the same`);
}
