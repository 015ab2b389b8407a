// Wrong values of every kind, for arguments of every kind.

import fc from "fast-check";
import { DmaFile } from "../../../mod.ts";

/** Wrong values for each kind of argument, but undefined: that stands for the default, where there is one. */
export const wrong = {
  integer: fc.oneof(
    fc.double({ min: 0.001, max: 1e6 }).filter((value) => !Number.isInteger(value)),
    fc.constantFrom(NaN, Infinity, -Infinity, -1, -(2 ** 40), 2 ** 53, 1e300, -0.5),
    fc.oneof(fc.string(), fc.bigInt(), fc.boolean(), fc.constant(null), fc.object()),
    fc.constantFrom<unknown>([], [1], () => 1, Symbol("1"), new Date(0), "4096"),
  ),
  flag: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.object(),
    fc.constantFrom<unknown>(0, 1, "true", "", [], NaN, 1n, Symbol("true"), () => true),
  ),
  options: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom<unknown>(null, 1n, Symbol("options"), () => ({})),
  ),
  path: fc.oneof(
    fc.integer(),
    fc.boolean(),
    fc.object(),
    fc.string().map((text) => `${text}\0`),
    fc.constantFrom<unknown>(
      null,
      undefined,
      [],
      1n,
      Symbol("path"),
      new Uint8Array([47]),
      new URL("http://example.com/file"),
      new URL("file://host/file"),
      new URL("file:///tmp/a%00b"),
      new URL("file:///tmp/%FF"),
    ),
  ),
  bytes: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.object(),
    fc.array(fc.integer()),
    fc.constantFrom<unknown>(null, undefined, true, 1n, Symbol("bytes"), new Blob(["text"])),
    fc.integer({ min: 1, max: 100 }).map((length) => {
      const bytes = new Uint8Array(length);
      bytes.buffer.transfer();
      return bytes;
    }),
  ),
  file: fc.oneof(
    fc.string(),
    fc.object(),
    fc.constantFrom<unknown>(null, undefined, 3, true, DmaFile, new Blob([])),
  ),
  buffer: fc.oneof(
    fc.string(),
    fc.object(),
    fc.constantFrom<unknown>(null, undefined, 3, new Uint8Array(4096), new ArrayBuffer(4096)),
  ),
  choice: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.object(),
    fc.constantFrom<unknown>("Require", "on", true, [], Symbol("off")),
  ),
  iterable: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom<unknown>(null, undefined, {}, () => [], Symbol("ranges")),
  ),
  range: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom<unknown>(null, undefined, Symbol("range")),
  ),
} as const;

/** What an argument has to be. */
export type Kind = keyof typeof wrong;
