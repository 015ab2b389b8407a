// Checks of what users pass: every error names the argument, the value, and what would be right.

/** A value for a message: short, and quoted where it is text. */
export function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    return `an object (${value.constructor?.name ?? "null prototype"})`;
  }
  return Deno.inspect(value, { strAbbreviateSize: 80 });
}

/** A safe integer from `least` to `most`. Throws TypeError or RangeError. */
export function integer(
  name: string,
  value: unknown,
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== "number") {
    throw new TypeError(`Invalid ${name} ${shown(value)}: it must be a number`);
  }
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    const bounds = most === Number.MAX_SAFE_INTEGER
      ? `a safe integer of ${least} or more`
      : `an integer from ${least} to ${most}`;
    throw new RangeError(`Invalid ${name} ${value}: it must be ${bounds}`);
  }
  return value;
}

/** A boolean. Throws TypeError. */
export function flag(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`Invalid ${name} ${shown(value)}: it must be true or false`);
  }
  return value;
}

/** An options object, or nothing. Throws TypeError. */
export function optionsObject<T extends object>(name: string, value: T | undefined): Partial<T> {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`Invalid ${name} ${shown(value)}: it must be an object`);
  }
  return value;
}

/** A path, as text. Throws TypeError. */
export function pathText(name: string, value: unknown): string {
  let path = value;
  if (value instanceof URL) {
    if (value.protocol !== "file:") {
      throw new TypeError(`Invalid ${name} ${shown(value.href)}: a URL must be a file: URL`);
    }
    if (value.hostname !== "") {
      throw new TypeError(`Invalid ${name} ${shown(value.href)}: a file: URL must have no host`);
    }
    path = decodedPath(name, value);
  }
  if (typeof path !== "string") {
    throw new TypeError(`Invalid ${name} ${shown(value)}: it must be a string or a file: URL`);
  }
  if (path.includes("\0")) {
    throw new TypeError(`Invalid ${name} ${shown(path)}: it must not contain a NUL character`);
  }
  return path;
}

/** The path of a file: URL, as Deno's own functions take it. */
function decodedPath(name: string, url: URL): string {
  try {
    return decodeURIComponent(url.pathname.replace(/%(?![0-9A-Fa-f]{2})/g, "%25"));
  } catch {
    throw new TypeError(`Invalid ${name} ${shown(url.href)}: a file: URL must be UTF-8 text`);
  }
}

/**
 * The bytes of a view. One of a class that derives from Uint8Array is not taken as it is: `subarray` would call that
 * class, whose constructor may want something else. (An empty one is: no view can be made of a detached buffer.)
 */
export function viewBytes(view: ArrayBufferView): Uint8Array {
  if (view instanceof Uint8Array && (view.constructor === Uint8Array || view.length === 0)) {
    return view;
  }
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** The bytes of a chunk. Throws TypeError where there are none to be had. */
export function chunkBytes(name: string, chunk: unknown): Uint8Array {
  let bytes: Uint8Array;
  let buffer: ArrayBufferLike;
  if (ArrayBuffer.isView(chunk)) {
    buffer = chunk.buffer;
    bytes = viewBytes(chunk);
  } else if (chunk instanceof ArrayBuffer) {
    buffer = chunk;
    bytes = chunk.detached ? new Uint8Array(0) : new Uint8Array(chunk);
  } else {
    throw new TypeError(
      `Cannot write ${shown(chunk)}: ${name} must be an ArrayBuffer or a view of one${
        typeof chunk === "string" ? " (encode text with TextEncoder)" : ""
      }`,
    );
  }
  // A detached buffer has no bytes left: writing none of them would lose what the caller meant.
  if (bytes.length === 0 && buffer instanceof ArrayBuffer && buffer.detached) {
    throw new TypeError(`Cannot write ${name}: its buffer is detached`);
  }
  return bytes;
}
