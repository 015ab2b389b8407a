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
    const { buffer } = own;
    const shared = new Uint8Array(new SharedArrayBuffer(length));
    const resizable = new ArrayBuffer(length, { maxByteLength: length + 5000 });
    for (const memory of [shared.buffer, resizable]) new Uint8Array(memory).set(own);
    const spoil = () => void structuredClone(buffer, { transfer: [buffer] });
    return this.pick([
      { data: own, spoil },
      { data: buffer, spoil },
      { data: new DataView(buffer), spoil },
      // Views of larger elements, of as many bytes as fit.
      { data: new Float64Array(buffer, 0, Math.floor(length / 8)), spoil },
      { data: shared },
      { data: shared.buffer },
      {
        data: new Uint8Array(resizable),
        spoil: () => resizable.resize(this.below(length + 100)),
      },
    ]);
  }
}
