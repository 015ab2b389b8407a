// A Worker that writes its part of a file on a message, and answers when that part is durable.

import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { warmChunk } from "./measure.mjs";

/** The part to write: `length` bytes from `position` on. */
export interface Part {
  path: string;
  position: number;
  length: number;
}

const chunk: Uint8Array<ArrayBuffer> = warmChunk(64 * 1024);

// `deno check` types `self` as that of a page.
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
