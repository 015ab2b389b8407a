// What a random program may do to a file, one record an operation, so that fast-check can shrink what fails.

import fc from "fast-check";

/** How a writer is opened. */
export interface Opening {
  op: "open";
  place: "start" | "position" | "append";
  position: number;
  bufferSize: number;
  writeBehind: number;
  preallocate: boolean;
  sizeHint: number;
  closeFile: boolean;
}

/** One operation. */
export type Operation =
  | Opening
  | { op: "write"; size: number; how: "stream" | "lock" | "buffer" | "burst" }
  | { op: "flush" }
  | { op: "sync"; tail: boolean; during: number }
  | { op: "finish"; how: "close" | "lock" | "dispose" | "seal" | "abort" }
  | { op: "read"; position: number; length: number }
  | { op: "readMany"; ranges: { position: number; length: number }[]; maxGap: number }
  | {
    op: "stream";
    start: number;
    length: number;
    bufferSize: number;
    readAhead: number;
    skip: number;
    view: number;
  }
  | { op: "writeAt"; block: number; blocks: number; own: boolean }
  | { op: "truncate"; length: number }
  | { op: "preallocate"; length: number; keepSize: boolean }
  | { op: "deallocate"; position: number; length: number }
  | { op: "copy"; position: number; length: number; target: number }
  | { op: "reopen"; empty: boolean };

const edges = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8192, 12_288, 65_536];
const place = fc.oneof(
  fc.constantFrom(...edges),
  fc.nat(20),
  fc.nat(5000),
  { arbitrary: fc.nat(50_000), weight: 2 },
);
const size = fc.oneof(
  fc.constantFrom(...edges),
  { arbitrary: fc.nat(300), weight: 2 },
  { arbitrary: fc.nat(5000), weight: 2 },
  fc.nat(70_000),
);
const bufferSize = fc.constantFrom(0, 512, 4096, 5000, 12_288, 65_536);

const is = <Name extends Operation["op"]>(op: Name) => ({ op: fc.constant(op) });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      ...is("open"),
      place: fc.constantFrom("start" as const, "position" as const, "append" as const),
      position: place,
      bufferSize,
      writeBehind: fc.integer({ min: 1, max: 4 }),
      preallocate: fc.boolean(),
      sizeHint: fc.constantFrom(0, 0, 0, 5000, 100_000),
      closeFile: fc.boolean(),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      ...is("write"),
      size,
      how: fc.constantFrom(
        "stream" as const,
        "stream" as const,
        "lock" as const,
        "buffer" as const,
        "burst" as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record(is("flush")) },
  {
    weight: 3,
    arbitrary: fc.record({ ...is("sync"), tail: fc.boolean(), during: fc.nat(3000) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      ...is("finish"),
      how: fc.constantFrom(
        "close" as const,
        "lock" as const,
        "dispose" as const,
        "seal" as const,
        "abort" as const,
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ ...is("read"), position: place, length: size }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...is("readMany"),
      ranges: fc.array(fc.record({ position: place, length: size }), { maxLength: 6 }),
      maxGap: fc.constantFrom(0, 4096, 1 << 20),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      ...is("stream"),
      start: place,
      length: size,
      bufferSize,
      readAhead: fc.nat(4),
      skip: fc.oneof(fc.constant(0), fc.nat(9000)),
      view: fc.constantFrom(0, 0, 100, 4096, 16_384),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      ...is("writeAt"),
      block: fc.nat(12),
      blocks: fc.nat(4),
      own: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...is("truncate"), length: place }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...is("preallocate"),
      length: place.map((length) => length + 1),
      keepSize: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      ...is("deallocate"),
      position: place,
      length: size.map((length) => length + 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ ...is("copy"), position: place, length: size, target: place }),
  },
  { weight: 1, arbitrary: fc.record({ ...is("reopen"), empty: fc.boolean() }) },
);

/** A random program. */
export const program: fc.Arbitrary<Operation[]> = fc.array(operation, {
  minLength: 1,
  maxLength: 24,
  size: "max",
});
