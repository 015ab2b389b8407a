// The clients of an upload: one that sends everything, and one that disconnects in the middle.

import { Buffer } from "node:buffer";
import type { Received } from "./server.ts";

/** Files and fields, in the order in which they are sent. */
export type Parts = Record<string, string | Uint8Array<ArrayBuffer>>;

export interface Answer {
  status: number;
  body: Received | string;
}

function form(parts: Parts): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(parts)) {
    if (typeof value === "string") data.append(name, value);
    else data.append("file", new Blob([value], { type: "application/octet-stream" }), name);
  }
  return data;
}

export async function upload(port: number, parts: Parts): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: form(parts) });
  return { status: response.status, body: await response.json() };
}

/** A form as it goes over the wire. */
export interface EncodedForm {
  /** The request, head included. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The position of the last boundary, before which the last part is incomplete. */
  readonly lastBoundary: number;
}

/** The content of an {@linkcode upload}. */
export async function encode(parts: Parts): Promise<EncodedForm> {
  const request = new Request("http://127.0.0.1/", { method: "POST", body: form(parts) });
  const body = Buffer.from(await request.arrayBuffer());
  const head = [
    "POST / HTTP/1.1",
    "Host: 127.0.0.1",
    "Connection: close",
    `Content-Type: ${request.headers.get("content-type")}`,
    `Content-Length: ${body.length}`,
    "\r\n",
  ].join("\r\n");
  const bytes = new Uint8Array(Buffer.concat([Buffer.from(head), body]));
  return { bytes, lastBoundary: head.length + body.lastIndexOf("\r\n--") };
}

/** Sends the first `length` bytes of a request, and closes the connection. */
export async function breakOff(
  port: number,
  { bytes }: EncodedForm,
  length: number,
): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  for (let sent = 0; sent < length;) {
    sent += await connection.write(bytes.subarray(sent, length));
  }
}
