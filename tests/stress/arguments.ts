// Random lengths and options, and bytes in every kind of container.

import { Random } from "../simulator/random.ts";
import { pattern } from "../support/bytes.ts";

/** A chunk, and the ways to detach or change its memory while it is in use. */
export interface Chunk {
  readonly data: ArrayBufferView | ArrayBufferLike;
  /** Detaches or shrinks the memory. */
  readonly spoil?: () => void;
}

export class RandomArguments extends Random {
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

  options<T extends object>(values: T): Partial<T> {
    const chosen = Object.entries(values).filter(() => this.chance(0.5));
    return Object.fromEntries(chosen) as Partial<T>;
  }

  /** The bytes of `position`, in one of all kinds of containers. */
  chunk(position: number, seed: number, most: number): Chunk {
    const length = this.length(most);
    const own = pattern(length, position, seed);
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
      { data: new Uint8Array(resizable), spoil: () => resizable.resize(this.below(length + 100)) },
    ]);
  }
}
