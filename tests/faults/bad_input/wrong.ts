// Wrong values of every kind, for arguments of every kind.

import { DmaFile } from "../../../mod.ts";

/** Bytes whose memory was transferred. */
function detached(): Uint8Array {
  const bytes = new Uint8Array(100);
  bytes.buffer.transfer();
  return bytes;
}

const urls = [
  "http://example.com/file",
  "file://host/file",
  "file:///tmp/a%00b",
  "file:///tmp/%FF",
];
const objects = [{}, { length: 1 }, { path: "file", fd: 3 }, new Date(0), new Blob(["text"])];
const symbol = Symbol("symbol");
const call = () => 1;

/** Wrong values for each kind of argument. undefined is not among them, because it means the default. */
export const wrong = {
  integer: [
    ...[NaN, Infinity, -Infinity, -1, -(2 ** 40), -0.5, 0.001, 1.5, 4096.25, 2 ** 53, 1e300],
    ...["", "4096", 1n, true, null, [], [1], symbol, call, ...objects],
  ],
  flag: ["", "true", 0, 1, -5, NaN, 1n, [], symbol, call, ...objects],
  options: ["", "write", 0, 5, 1n, true, null, symbol, call],
  path: [
    ...["a\0", "\0", 0, 5, 1n, true, null, undefined, [], symbol, new Uint8Array([47])],
    ...urls.map((url) => new URL(url)),
    ...objects,
  ],
  bytes: ["", "text", 0, 5, 1n, true, null, undefined, [], [1], symbol, detached(), ...objects],
  file: ["", 3, true, null, undefined, DmaFile, ...objects],
  buffer: ["", 3, null, undefined, new Uint8Array(4096), new ArrayBuffer(4096), ...objects],
  choice: ["", "Require", "on", 0, 5, true, [], symbol, ...objects],
  iterable: ["", "text", 0, 5, true, null, undefined, {}, () => [], symbol],
  range: ["", "text", 0, 5, true, null, undefined, symbol],
} as const;

/** The kind of an argument. */
export type Kind = keyof typeof wrong;
