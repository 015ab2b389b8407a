// Uploads by busboy: each file's stream goes through a pipeline into an atomic file.

// @ts-types="npm:@types/busboy@1.5.5"
import busboy from "npm:busboy@1.6.0";
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { DmaFile } from "../../../mod.ts";
import { toNodeWritable } from "../../../node.ts";
import type { Limits, Received } from "./server.ts";

/** A file's stream. busboy ends one that is too large as if it were whole. */
type FileStream = Readable & { truncated?: boolean };

async function store(stream: FileStream, path: string): Promise<void> {
  // It may fail before the file is open. The pipeline rejects then.
  stream.on("error", () => {});
  const refuse = () => stream.destroy(new Error("The file is too large"));
  stream.on("limit", refuse);
  const file = await DmaFile.create(path, { atomic: true });
  if (stream.truncated) refuse();
  await pipeline(stream, toNodeWritable(file.writable));
}

/** Stores what a request brings. */
export async function receive(
  request: IncomingMessage,
  directory: string,
  limits: Limits,
): Promise<Received> {
  const received: Received = { fields: {}, files: [] };
  const stored: Promise<void>[] = [];
  const parser = busboy({ headers: request.headers, limits });
  request.on("close", () => {
    if (!request.readableEnded) parser.destroy(new Error("The client broke off"));
  });
  parser.on("field", (name, value) => received.fields[name] = value);
  parser.on("filesLimit", () => parser.destroy(new Error("There are too many files")));
  parser.on("file", (_field, stream, { filename = "" }) => {
    received.files.push(filename);
    const storing = store(stream, `${directory}/${filename}`);
    storing.catch((error) => parser.destroy(error));
    stored.push(storing);
  });
  try {
    // A pipeline would break the connection off where a file fails, and with it the answer.
    await finished(request.pipe(parser));
  } finally {
    await Promise.allSettled(stored);
  }
  await Promise.all(stored);
  return received;
}
