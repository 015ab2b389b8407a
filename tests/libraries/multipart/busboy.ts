// Uploads by busboy: each file's stream goes through a pipeline into an atomic file.

// @ts-types="npm:@types/busboy@1.5.5"
import busboy from "npm:busboy@1.6.0";
import { finished } from "node:stream/promises";
import { type Receive, type Received, store } from "./server.ts";

export const receive: Receive = async (request, directory) => {
  const received: Received = { fields: {}, files: [] };
  const stored: Promise<void>[] = [];
  const parser = busboy({ headers: request.headers });
  request.on("close", () => {
    if (!request.readableEnded) parser.destroy(new Error("The client broke off"));
  });
  parser.on("field", (name, value) => received.fields[name] = value);
  parser.on("file", (_field, stream, { filename = "" }) => {
    received.files.push(filename);
    const storing = store(stream, `${directory}/${filename}`);
    storing.catch((error) => parser.destroy(error));
    stored.push(storing);
  });
  try {
    // A pipeline would close the connection if a file fails, and the response would be lost.
    await finished(request.pipe(parser));
  } finally {
    await Promise.allSettled(stored);
  }
  await Promise.all(stored);
  return received;
};
