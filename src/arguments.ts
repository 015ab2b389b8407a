// Checks of what users pass: every error names the argument, the value, and what would be right.

/** A value for a message: short, and quoted where it is text. */
export function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    return `an object (${value.constructor?.name ?? "null prototype"})`;
  }
  return Deno.inspect(value, { strAbbreviateSize: 80 });
}

/**
 * Has `structuredClone` and `postMessage` refuse an object, which would lose everything by them: what they cannot clone is a
 * property that is a symbol. The error names it.
 */
export function forbidCloning(object: object, why: string): void {
  Object.defineProperty(object, "cloning", { value: Symbol(why), enumerable: true });
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

/** Checks `position` and `length` of a range of a file, and that its end can be counted. */
export function checkRange(position: number, length: number): void {
  integer("position", position);
  integer("length", length);
  integer("position + length", position + length);
}

/** Throws RangeError where `value` is no multiple of `alignment`. */
export function checkAligned(name: string, value: number, alignment: number): void {
  if (value % alignment === 0) return;
  throw new RangeError(`Invalid ${name} ${value}: it must be a multiple of ${alignment}`);
}

/** A boolean. Throws TypeError. */
export function flag(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw new TypeError(`Invalid ${name} ${shown(value)}: it must be true or false`);
  }
  return value;
}

/** What an option must be: gives its checked value, or its default where it is left out. */
type Option<T> = (name: string, value: unknown) => T;

/** A boolean, by default `fallback`. */
export function flagOption(fallback: boolean): Option<boolean> {
  return (name, value) => flag(name, value ?? fallback);
}

/** A safe integer from `least` to `most`, by default `fallback`. */
export function integerOption<Default extends number | undefined>(
  fallback: Default,
  least?: number,
  most?: number,
): Option<number | Default> {
  return (name, value) => value == null ? fallback : integer(name, value, least, most);
}

/** One of some words, by default the first. */
export function choiceOption<const Choice extends string>(
  first: Choice,
  ...others: Choice[]
): Option<Choice> {
  return (name, value) => {
    const choice = value ?? first;
    if (choice === first || others.includes(choice as Choice)) return choice as Choice;
    const [last, ...before] = [first, ...others].map(shown).reverse();
    const words = `${before.reverse().join(", ")} or ${last}`;
    throw new TypeError(`Invalid ${name} ${shown(value)}: it must be ${words}`);
  };
}

/**
 * Options, checked, each with its default. Throws TypeError where `options` is no object, or has an option that is not
 * `known`: a misspelt option would be lost without a word.
 */
export function readOptions<Known extends Record<string, Option<unknown>>>(
  options: unknown,
  known: Known,
): { readonly [Name in keyof Known]: ReturnType<Known[Name]> } {
  const given = options ?? {};
  if (typeof given !== "object" || options === null) {
    throw new TypeError(`Invalid options ${shown(options)}: it must be an object`);
  }
  for (const option of Object.keys(given)) {
    if (Object.hasOwn(known, option)) continue;
    const hint = hintFor(option, Object.keys(known));
    throw new TypeError(`Unknown option ${shown(option)}: ${hint}`);
  }
  const checked: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(known)) {
    // What a dependency puts into Object.prototype is no option that anybody gave.
    const isGiven = Object.hasOwn(given, name) || !(name in Object.prototype);
    checked[name] = option(
      name,
      isGiven ? (given as Record<string, unknown>)[name] : undefined,
    );
  }
  return checked as { readonly [Name in keyof Known]: ReturnType<Known[Name]> };
}

/** The candidate that takes the fewest edits, or all of them where none is like the word. */
function hintFor(word: string, candidates: readonly string[]): string {
  const distance = (candidate: string) => edits(word.toLowerCase(), candidate.toLowerCase());
  const nearest = candidates.reduce((best, each) => distance(each) < distance(best) ? each : best);
  if (distance(nearest) <= word.length / 2) return `did you mean ${shown(nearest)}?`;
  return `it must be one of ${candidates.map(shown).join(", ")}`;
}

/** The Levenshtein distance: letters to insert, delete or replace. */
function edits(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let line = 1; line <= from.length; line++) {
    const next = [line];
    for (let column = 1; column <= to.length; column++) {
      const replaced = row[column - 1]! + (from[line - 1] === to[column - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[column]! + 1, next[column - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
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

/** The getter of a class: what an object says of itself, as a `length` of its own, is not what native code would take. */
function getterOf<T>(prototype: object, name: string): (of: ArrayBufferView) => T {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name)!;
  return Function.prototype.call.bind(get!);
}

const gettersOf = (prototype: object) => ({
  buffer: getterOf<ArrayBufferLike>(prototype, "buffer"),
  byteOffset: getterOf<number>(prototype, "byteOffset"),
  byteLength: getterOf<number>(prototype, "byteLength"),
});

const typedArray = gettersOf(Object.getPrototypeOf(Uint8Array.prototype));
const dataView = gettersOf(DataView.prototype);
const isDetached = (buffer: ArrayBufferLike) => buffer instanceof ArrayBuffer && buffer.detached;

/** The bytes that a Uint8Array has, whatever it says. */
export const lengthOfBytes: (bytes: Uint8Array) => number = typedArray.byteLength;

/**
 * The bytes of a chunk, as a plain view: one of a class that derives from Uint8Array may have a `length` and a `subarray`
 * of its own. Throws TypeError where there are none to be had.
 */
export function chunkBytes(name: string, chunk: unknown): Uint8Array {
  if (ArrayBuffer.isView(chunk)) {
    const { buffer, byteOffset, byteLength } = chunk instanceof DataView ? dataView : typedArray;
    const whole = buffer(chunk);
    if (!isDetached(whole)) return new Uint8Array(whole, byteOffset(chunk), byteLength(chunk));
  } else if (chunk instanceof ArrayBuffer || chunk instanceof SharedArrayBuffer) {
    if (!isDetached(chunk)) return new Uint8Array(chunk);
  } else {
    throw new TypeError(
      `Cannot write ${shown(chunk)}: ${name} must be an ArrayBuffer or a view of one${
        typeof chunk === "string" ? " (encode text with TextEncoder)" : ""
      }`,
    );
  }
  // A detached buffer has no bytes left: writing none of them would lose what the caller meant.
  throw new TypeError(`Cannot write ${name}: its buffer is detached`);
}
