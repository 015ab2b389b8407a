// Arguments of every kind, right ones and wrong ones, and bytes in every kind of container.

import type { Random } from "../simulator/random.ts";
import { content } from "../faults/content.ts";

/** Values that are valid for almost no argument. */
function oddValue(random: Random): unknown {
  return random.pick<() => unknown>([
    () => undefined,
    () => null,
    () => NaN,
    () => -1,
    () => 0.5,
    () => Infinity,
    () => 2 ** 53,
    () => -(2 ** 40),
    () => 1n,
    () => "4096\0",
    () => "",
    () => true,
    () => [],
    () => [1],
    () => ({}),
    () => ({ valueOf: () => 4096 }),
    () => Object.create(null),
    () => Symbol("odd"),
    () => () => 1,
    () => new Date(0),
    () => new Blob(["odd"]),
    () => new Proxy({}, {}),
  ])();
}

/** Mostly `right`, and sometimes any other value. The types of odd values are deliberately wrong. */
export function mostly<T>(random: Random, right: T): T {
  return random.chance(0.04) ? oddValue(random) as T : right;
}

/** Bytes from 0 to `most`: few, many, around multiples of blocks. */
export function someLength(random: Random, most: number): number {
  const length = random.pick([
    () => 0,
    () => random.below(20),
    () => random.below(5000),
    () => 4096 * random.below(20) + random.pick([-1, 0, 1]),
    () => random.below(most + 1),
  ])();
  return Math.min(most, Math.max(0, length));
}

/** Options, each present or absent, with a right or an odd value. */
export function someOptions<T extends object>(
  random: Random,
  values: { [Name in keyof T]-?: () => T[Name] },
): T {
  const options: Record<string, unknown> = random.chance(0.1) ? Object.create(null) : {};
  for (const [name, value] of Object.entries<() => unknown>(values)) {
    if (random.chance(0.5)) options[name] = mostly(random, value());
  }
  if (random.chance(0.01)) options["highWaterMark"] = 1;
  return options as T;
}

/** A chunk, and the ways to detach or change its memory while it is in use. */
export interface Chunk {
  readonly data: ArrayBufferView | ArrayBufferLike;
  readonly length: number;
  /** Detaches or shrinks the memory. */
  readonly spoil: (() => void) | undefined;
}

/** The bytes of `position`, in one of all kinds of containers. */
export function someChunk(random: Random, position: number, seed: number, most: number): Chunk {
  const length = someLength(random, most);
  const bytes = content(position, length, seed);
  const own = bytes.slice();
  const detach = () => void structuredClone(own.buffer, { transfer: [own.buffer] });
  switch (random.below(7)) {
    case 0:
      return { data: own.buffer, length, spoil: detach };
    case 1: {
      const shared = new SharedArrayBuffer(length);
      new Uint8Array(shared).set(bytes);
      return {
        data: random.chance(0.5) ? shared : new Uint8Array(shared),
        length,
        spoil: undefined,
      };
    }
    case 2: {
      const buffer = new ArrayBuffer(length + 100, { maxByteLength: length + 5000 });
      new Uint8Array(buffer).set(bytes, 50);
      const isTracking = random.chance(0.3);
      if (isTracking) buffer.resize(length + 50);
      const view = isTracking ? new Uint8Array(buffer, 50) : new Uint8Array(buffer, 50, length);
      return { data: view, length, spoil: () => buffer.resize(random.below(length + 100)) };
    }
    case 3:
      return { data: new DataView(own.buffer), length, spoil: detach };
    case 4: {
      // Views of larger elements, of as many bytes as fit.
      const whole = length - length % 8;
      return { data: new Float64Array(own.buffer, 0, whole / 8), length: whole, spoil: detach };
    }
    case 5: {
      const around = new Uint8Array(length + 64);
      around.set(bytes, 33);
      return { data: around.subarray(33, 33 + length), length, spoil: undefined };
    }
    default:
      return { data: own, length, spoil: detach };
  }
}
