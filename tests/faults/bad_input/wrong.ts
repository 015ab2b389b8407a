// Wrong values of every kind, for arguments of every kind.

import fc from "fast-check";
import { DmaFile } from "../../../mod.ts";

/** Any of these values, or one of those that the arbitraries make. */
function anyOf(values: readonly unknown[], ...made: fc.Arbitrary<unknown>[]) {
  return fc.oneof(...made, fc.constantFrom(...values));
}

const { string, object, boolean } = fc;
const integer = () => fc.integer();
const fraction = fc.double({ min: 0.001, max: 1e6 }).filter((value) => !Number.isInteger(value));
const numbers = fc.constantFrom(NaN, Infinity, -Infinity, -1, -(2 ** 40), 2 ** 53, 1e300, -0.5);

const detached = fc.integer({ min: 1, max: 100 }).map((length) => {
  const bytes = new Uint8Array(length);
  bytes.buffer.transfer();
  return bytes;
});

const noPath = [
  ...[null, undefined, [], 1n, Symbol("path"), new Uint8Array([47])],
  ...["http://example.com/file", "file://host/file", "file:///tmp/a%00b", "file:///tmp/%FF"]
    .map((url) => new URL(url)),
];

/** Wrong values for each kind of argument, but undefined: that stands for the default, where there is one. */
export const wrong = {
  integer: fc.oneof(
    fraction,
    numbers,
    anyOf([null], string(), fc.bigInt(), boolean(), object()),
    fc.constantFrom<unknown>([], [1], () => 1, Symbol("1"), new Date(0), "4096"),
  ),
  flag: anyOf(
    [0, 1, "true", "", [], NaN, 1n, Symbol("true"), () => true],
    string(),
    integer(),
    object(),
  ),
  options: anyOf(
    [null, 1n, Symbol("options"), () => ({})],
    string(),
    integer(),
    boolean(),
  ),
  path: anyOf(noPath, integer(), boolean(), object(), string().map((text) => `${text}\0`)),
  bytes: anyOf(
    [null, undefined, true, 1n, Symbol("bytes"), new Blob(["text"])],
    string(),
    integer(),
    object(),
    fc.array(integer()),
    detached,
  ),
  file: anyOf(
    [null, undefined, 3, true, DmaFile, Object.create(DmaFile.prototype), new Blob([])],
    string(),
    object(),
  ),
  buffer: anyOf(
    [null, undefined, 3, new Uint8Array(4096), new ArrayBuffer(4096)],
    string(),
    object(),
  ),
  choice: anyOf(["Require", "on", true, [], Symbol("off")], string(), integer(), object()),
  iterable: anyOf(
    [null, undefined, {}, () => [], Symbol("ranges")],
    string(),
    integer(),
    boolean(),
  ),
  range: anyOf([null, undefined, Symbol("range")], string(), integer(), boolean()),
} as const;

/** What an argument has to be. */
export type Kind = keyof typeof wrong;
