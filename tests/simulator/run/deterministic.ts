// Makes this isolate deterministic: what depends on time, chance, memory or the garbage collector is the simulator's.
// To be called before the module under test is loaded.

import { Finalizers } from "../program/finalizers.ts";

/** What JavaScript's own memory pretends to start at: aligned as malloc(3) does it. */
const FIRST_ADDRESS = 2 ** 40 + 16;

/**
 * Replaces what is not deterministic; addresses only where the kernel is simulated. Returns who decides when dropped objects
 * are collected.
 */
export function makeDeterministic(isSimulated: boolean): Finalizers {
  const finalizers = new Finalizers();
  globalThis.FinalizationRegistry = finalizers.registryClass();
  if (isSimulated) replaceAddresses();
  // The event loop never has to turn: no time passes while JavaScript runs.
  performance.now = () => 0;
  let names = 0;
  crypto.randomUUID = () => `${String(++names).padStart(8, "0")}-0000-4000-8000-000000000000`;
  return finalizers;
}

/** Gives JavaScript memory addresses that are the same in each run. */
export function replaceAddresses(): void {
  const addresses = new WeakMap<object, number>();
  let next = FIRST_ADDRESS;
  const of = (value: ArrayBuffer | ArrayBufferView) => value as unknown as Deno.PointerObject;
  const value = (pointer: Deno.PointerValue) => {
    const object = pointer as unknown as ArrayBuffer | ArrayBufferView;
    const buffer = ArrayBuffer.isView(object) ? object.buffer : object;
    const offset = ArrayBuffer.isView(object) ? object.byteOffset : 0;
    let address = addresses.get(buffer);
    if (address === undefined) {
      addresses.set(buffer, address = next);
      next += Math.ceil(buffer.byteLength / 4096 + 1) * 4096;
    }
    return BigInt(address + offset);
  };
  Object.assign(Deno.UnsafePointer, { of, value });
}
