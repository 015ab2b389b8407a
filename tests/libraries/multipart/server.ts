// An HTTP server that stores uploads by means of a library, as a program that uses it would have it.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** What is refused when it is larger, or more. */
export interface Limits {
  /** Bytes of one file. */
  fileSize?: number;
  /** Files in a request. */
  files?: number;
}

export interface Received {
  fields: Record<string, string>;
  /** Names of files, in the order in which they came. */
  files: string[];
}

/** Stores the files of a request in a directory. Rejects where any of them is not whole, or too large. */
export type Receive = (
  request: IncomingMessage,
  directory: string,
  limits: Limits,
) => Promise<Received>;

export interface UploadServer extends AsyncDisposable {
  readonly port: number;
  /** Why requests failed. */
  readonly failures: Error[];
}

/** Starts a server. It answers with what it received, or with 400 and the reason. */
export async function serveUploads(
  receive: Receive,
  directory: string,
  limits: Limits = {},
): Promise<UploadServer> {
  const failures: Error[] = [];
  const server = createServer(async (request, response) => {
    let answer: unknown;
    try {
      answer = await receive(request, directory, limits);
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
