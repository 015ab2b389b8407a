// A Worker that writes its part of a file when it is told to, and says when that is durable.

import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { warmChunk } from "./measure.mjs";

/** What to write: so many bytes of a file from a position on. */
export interface Part {
  path: string;
  position: number;
  length: number;
}

const chunk: Uint8Array<ArrayBuffer> = warmChunk(64 * 1024);

// `deno check` knows a page's `self` only.
const scope = self as unknown as {
  onmessage: (event: MessageEvent<Part>) => Promise<void>;
  postMessage(message: unknown): void;
};

scope.onmessage = async ({ data: { path, position, length } }: MessageEvent<Part>) => {
  const file = await DmaFile.open(path, { write: true, create: true });
  const writer = new DmaStreamWriter(file, { position, sizeHint: length });
  for (let left = length; left > 0; left -= chunk.length) await writer.write(chunk);
  await writer.close();
  scope.postMessage("durable");
};
