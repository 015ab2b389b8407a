// An HTTP server that stores uploads by a library, as in a real program.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DmaFile } from "../../../mod.ts";
import { toNodeWritable } from "../../../node.ts";

export interface Received {
  fields: Record<string, string>;
  /** Names of files, in the order in which they came. */
  files: string[];
}

/** Stores the files of a request in a directory. Rejects if any of them is incomplete. */
export type Receive = (request: IncomingMessage, directory: string) => Promise<Received>;

/** Stores a file's stream in an atomic file. */
export async function store(stream: Readable, path: string): Promise<void> {
  // It may fail before the file is open. The pipeline rejects then.
  stream.on("error", () => {});
  const file = await DmaFile.create(path, { atomic: true });
  await pipeline(stream, toNodeWritable(file.writable));
}

export interface UploadServer extends AsyncDisposable {
  readonly port: number;
  readonly failures: Error[];
}

/** Starts a server. It responds with the names that it received, or with 400 and the reason. */
export async function serveUploads(receive: Receive, directory: string): Promise<UploadServer> {
  const failures: Error[] = [];
  const server = createServer(async (request, response) => {
    let answer: unknown;
    try {
      answer = await receive(request, directory);
    } catch (error) {
      failures.push(error as Error);
      response.statusCode = 400;
      answer = (error as Error).message;
      // The client may still be sending.
      request.resume();
    }
    response.end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    failures,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
