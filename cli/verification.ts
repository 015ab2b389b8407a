// Reads the written bytes back and compares SHA-256 digests, because a pipe cannot be read twice.
import { createHash } from "node:crypto";
import { type DmaFile, DmaStreamReader } from "../mod.ts";
import { Descriptor } from "./descriptor.ts";
import type { ByteStream, Part } from "./source.ts";

/** Records the ranges and the digest of the parts that are written, and checks them. */
export class Verification {
  readonly #expected = createHash("sha256");
  readonly #ranges: { start: number; end: number }[] = [];
  /** Bytes that were read back. */
  readBack = 0;

  /** The same part, whose bytes are recorded as they are read. */
  watch({ position, readable, isWhole }: Part): Part {
    const range = { start: position, end: position };
    this.#ranges.push(range);
    const reader = readable.getReader();
    const watched: ByteStream = new ReadableStream({
      pull: async (controller) => {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        this.#expected.update(value);
        range.end += value.length;
        controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
      // Without a buffer here, no byte is lost when the transfer is stopped.
    }, { highWaterMark: 0 });
    return { position, readable: watched, isWhole };
  }

  /**
   * Reads the parts from the disk, which has them only if they are durable. Throws if they differ.
   *
   * @param start the position of the first byte of the source
   */
  async check(file: DmaFile, start: number, signal: AbortSignal): Promise<void> {
    if (!file.direct) new Descriptor(file).dropCache();
    const found = createHash("sha256");
    const sink = new WritableStream<Uint8Array<ArrayBuffer>>({
      write: (chunk) => {
        found.update(chunk);
        this.readBack += chunk.length;
      },
    });
    for (const range of this.#ranges) {
      const options = { start: start + range.start, end: start + range.end, closeFile: false };
      const reader = new DmaStreamReader(file, options);
      await reader.pipeTo(sink, { signal, preventClose: true });
    }
    if (found.digest("hex") !== this.#expected.digest("hex")) {
      throw new Error(`What was read back from '${file.path}' differs from what was written`);
    }
  }
}
