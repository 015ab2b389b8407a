// Uploads by formidable, with custom streams. It needs a stream before a file can be open.

// @ts-types="npm:@types/formidable@3.5.1"
import formidable from "npm:formidable@3.5.4";
import { basename } from "node:path";
import { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { DmaFile } from "../../../mod.ts";
import { toNodeWritable } from "../../../node.ts";
import type { Receive } from "./server.ts";

type Callback = (error?: Error | null) => void;

/** A stream that exists at once, and passes its bytes on when its file is open. */
function openingWritable(opening: Promise<Writable>): Writable {
  let out: Writable | undefined;
  const stream = new Writable({
    construct: (callback: Callback) =>
      void opening.then((opened) => {
        out = opened;
        out.on("error", (error) => stream.destroy(error));
        callback();
      }, callback),
    write: (chunk: Uint8Array, _encoding: string, callback: Callback) =>
      out!.write(chunk, (error) => callback(out!.errored ?? error)),
    final: (callback: Callback) => void out!.end(callback),
    destroy: (error: Error | null, callback: Callback) => {
      if (!out || out.closed) return callback(error);
      out.once("close", () => callback(error));
      out.destroy(error ?? undefined);
    },
  });
  return stream;
}

async function open(path: string): Promise<Writable> {
  return toNodeWritable((await DmaFile.create(path, { atomic: true })).writable);
}

export const receive: Receive = async (request, directory) => {
  const names: string[] = [];
  const streams: Writable[] = [];
  const form = formidable({
    filename: (_name, _extension, { originalFilename }) => basename(originalFilename ?? ""),
    fileWriteStreamHandler: (file) => {
      const { newFilename } = file as unknown as { newFilename: string };
      names.push(newFilename);
      const stream = openingWritable(open(`${directory}/${newFilename}`));
      streams.push(stream);
      return stream;
    },
  });
  try {
    const [fields] = await form.parse(request);
    // formidable treats a file that could not be closed as complete.
    await Promise.all(streams.map((stream) => finished(stream)));
    const entries = Object.entries(fields).map(([name, values]) => [name, values!.join()]);
    return { fields: Object.fromEntries(entries), files: names };
  } catch (error) {
    // A file that was opened after the failure has no other owner.
    for (const stream of streams) stream.destroy();
    await Promise.allSettled(streams.map((stream) => finished(stream)));
    throw error;
  }
};
