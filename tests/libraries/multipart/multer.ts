// Uploads by multer, with a storage engine of our own.

// @ts-types="npm:@types/multer@2.3.0"
import multer, { type StorageEngine } from "npm:multer@2.5.0";
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DmaFile } from "../../../mod.ts";
import { toNodeWritable } from "../../../node.ts";
import type { Limits, Received } from "./server.ts";

interface MulterFile {
  originalname: string;
  stream: Readable;
  path?: string;
}

/** Stores files in a directory. What is under way is in `storing`. */
function storage(directory: string, storing: Promise<unknown>[]): StorageEngine {
  async function store({ originalname, stream }: MulterFile): Promise<{ path: string }> {
    stream.on("error", () => {});
    // multer aborts the request, but the stream ends as if the file were whole.
    stream.on("limit", () => stream.destroy(new Error("The file is too large")));
    const path = `${directory}/${originalname}`;
    const file = await DmaFile.create(path, { atomic: true });
    await pipeline(stream, toNodeWritable(file.writable));
    return { path };
  }
  return {
    _handleFile: (_request, file, callback) => {
      const stored = store(file);
      stored.then((info) => callback(null, info), (error) => callback(error));
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

/** Stores what a request brings. */
export async function receive(
  request: IncomingMessage,
  directory: string,
  limits: Limits,
): Promise<Received> {
  const storing: Promise<unknown>[] = [];
  const upload = multer({ storage: storage(directory, storing), limits });
  const middleware = upload.array("file") as unknown as Middleware;
  try {
    await new Promise<void>((resolve, reject) =>
      middleware(request, undefined, (error) => error ? reject(error) : resolve())
    );
  } finally {
    // multer does not wait for them where the client broke off.
    await Promise.allSettled(storing);
  }
  const { body, files } = request as IncomingMessage & {
    body: Record<string, string>;
    files: MulterFile[];
  };
  return { fields: { ...body }, files: files.map(({ originalname }) => originalname) };
}
