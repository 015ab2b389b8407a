// Memory by its address.

/** The address of a buffer. The caller keeps the buffer alive while the address is in use. */
export function addressOf(buffer: ArrayBuffer | ArrayBufferView<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}

/** The pointer to an address, which is not 0. */
export function pointerTo(address: number): Deno.PointerObject {
  return Deno.UnsafePointer.create(BigInt(address))!;
}

/** The memory at an address. It must stay mapped as long as the buffer is used. */
export function memoryAt(address: number, length: number): ArrayBuffer {
  return Deno.UnsafePointerView.getArrayBuffer(pointerTo(address), length);
}
