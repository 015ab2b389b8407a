// Uploads by multer, with a custom storage engine.

// @ts-types="npm:@types/multer@2.3.0"
import multer, { type StorageEngine } from "npm:multer@2.5.0";
import type { IncomingMessage } from "node:http";
import { type Receive, store } from "./server.ts";

/** Stores files in a directory. `storing` has the running uploads. */
function storage(directory: string, storing: Promise<unknown>[]): StorageEngine {
  return {
    _handleFile: (_request, { originalname, stream }, callback) => {
      const path = `${directory}/${originalname}`;
      const stored = store(stream, path);
      stored.then(() => callback(null, { path }), (error) => callback(error));
      storing.push(stored);
    },
    // Called for files that were stored before another one of the request failed.
    _removeFile: (_request, { path }, callback) =>
      void Deno.remove(path).then(() => callback(null), callback),
  };
}

/** The middleware, as it is without Express. */
type Middleware = (
  request: IncomingMessage,
  response: undefined,
  next: (error?: unknown) => void,
) => void;

export const receive: Receive = async (request, directory) => {
  const storing: Promise<unknown>[] = [];
  const upload = multer({ storage: storage(directory, storing) });
  const middleware = upload.array("file") as unknown as Middleware;
  try {
    await new Promise<void>((resolve, reject) =>
      middleware(request, undefined, (error) => error ? reject(error) : resolve())
    );
  } finally {
    // multer does not wait for them if the client disconnects.
    await Promise.allSettled(storing);
  }
  const { body, files } = request as IncomingMessage & {
    body: Record<string, string>;
    files: { originalname: string }[];
  };
  return { fields: { ...body }, files: files.map(({ originalname }) => originalname) };
};
