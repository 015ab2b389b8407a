// Random arguments of every kind, right ones and wrong ones, and bytes in every kind of container.

import { content } from "../faults/content.ts";
import { Random } from "../simulator/random.ts";

/** Values that are valid for almost no argument. */
const oddValues: readonly (() => unknown)[] = [
  ...[undefined, null, NaN, -1, 0.5, Infinity, 2 ** 53, -(2 ** 40), 1n, "4096\0", "", true]
    .map((value) => () => value),
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
];

/** A chunk, and the ways to detach or change its memory while it is in use. */
export interface Chunk {
  readonly data: ArrayBufferView | ArrayBufferLike;
  /** Detaches or shrinks the memory. */
  readonly spoil?: () => void;
}

export class OddRandom extends Random {
  /** Mostly `right`, and sometimes any other value. The types of odd values are deliberately wrong. */
  mostly<T>(right: T): T {
    return this.chance(0.04) ? this.pick(oddValues)() as T : right;
  }

  /** Bytes from 0 to `most`: few, many, around multiples of blocks. */
  length(most: number): number {
    const length = this.pick([
      () => 0,
      () => this.below(20),
      () => this.below(5000),
      () => 4096 * this.below(20) + this.pick([-1, 0, 1]),
      () => this.below(most + 1),
    ])();
    return Math.min(most, Math.max(0, length));
  }

  /** Options, each present or absent, with a right or an odd value. */
  options<T extends object>(values: T): T {
    const options: Record<string, unknown> = this.chance(0.1) ? Object.create(null) : {};
    for (const [name, value] of Object.entries(values)) {
      if (this.chance(0.5)) options[name] = this.mostly(value);
    }
    if (this.chance(0.01)) options["highWaterMark"] = 1;
    return options as T;
  }

  /** The bytes of `position`, in one of all kinds of containers. */
  chunk(position: number, seed: number, most: number): Chunk {
    const length = this.length(most);
    const own = content(position, length, seed).slice();
    const spoil = () => void structuredClone(own.buffer, { transfer: [own.buffer] });
    switch (this.below(7)) {
      case 0:
        return { data: own.buffer, spoil };
      case 1: {
        const shared = new Uint8Array(new SharedArrayBuffer(length));
        shared.set(own);
        return { data: this.chance(0.5) ? shared.buffer : shared };
      }
      case 2: {
        const buffer = new ArrayBuffer(length + 100, { maxByteLength: length + 5000 });
        new Uint8Array(buffer).set(own, 50);
        const isTracking = this.chance(0.3);
        if (isTracking) buffer.resize(length + 50);
        const data = new Uint8Array(buffer, 50, isTracking ? undefined : length);
        return { data, spoil: () => buffer.resize(this.below(length + 100)) };
      }
      case 3:
        return { data: new DataView(own.buffer), spoil };
      case 4:
        // Views of larger elements, of as many bytes as fit.
        return { data: new Float64Array(own.buffer, 0, Math.floor(length / 8)), spoil };
      case 5: {
        const around = new Uint8Array(length + 64);
        around.set(own, 33);
        return { data: around.subarray(33, 33 + length) };
      }
      default:
        return { data: own, spoil };
    }
  }
}
