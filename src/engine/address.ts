// Where JavaScript's own memory is.

/** The address of a buffer. The caller keeps the buffer alive while the address is in use. */
export function addressOf(buffer: ArrayBuffer | ArrayBufferView<ArrayBuffer>): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}
