// Makes this isolate deterministic, before the module is loaded: time, chance, addresses and the garbage collector.

import { Registry } from "../program/finalizers.ts";

/** The simulated start of JavaScript's own memory, aligned as by malloc(3). */
const FIRST_ADDRESS = 2 ** 40 + 16;

export function makeDeterministic(): void {
  globalThis.FinalizationRegistry = Registry;
  replaceAddresses();
  // The event loop never has to turn: no time passes while JavaScript runs.
  performance.now = () => 0;
  let names = 0;
  crypto.randomUUID = () => `${String(++names).padStart(8, "0")}-0000-4000-8000-000000000000`;
}

function replaceAddresses(): void {
  const addresses = new WeakMap<object, number>();
  let next = FIRST_ADDRESS;
  const of = (value: ArrayBuffer | ArrayBufferView) => value as unknown as Deno.PointerObject;
  const value = (pointer: Deno.PointerValue) => {
    const object = pointer as unknown as ArrayBuffer | ArrayBufferView;
    const isView = ArrayBuffer.isView(object);
    const buffer = isView ? object.buffer : object;
    let address = addresses.get(buffer);
    if (address === undefined) {
      addresses.set(buffer, address = next);
      next += Math.ceil(buffer.byteLength / 4096 + 1) * 4096;
    }
    return BigInt(address + (isView ? object.byteOffset : 0));
  };
  Object.assign(Deno.UnsafePointer, { of, value });
}
