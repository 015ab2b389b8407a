// Checks arguments. Every error names the argument, the value, and what would be right.

/** A value for a message: short, and quoted if it is text. */
export function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) {
    return `an object (${value.constructor?.name ?? "null prototype"})`;
  }
  return Deno.inspect(value, { strAbbreviateSize: 80 });
}

/** The error for an argument with a wrong value. `rule` says what would be right. */
export function invalid(name: string, value: unknown, rule: string): TypeError {
  return new TypeError(`Invalid ${name} ${shown(value)}: ${rule}`);
}

/** The error for a wrong value of the argument `name`. Of the right `types` the first is a class of this module. */
export function wrongObject(name: string, value: unknown, types: string, what: string): TypeError {
  const { constructor } = (value ?? {}) as { constructor?: { name?: string } };
  const why = constructor?.name === types.split(" ", 1)[0]
    ? "it comes from another copy of this module: import it from one place, in one version"
    : `${name} must be a ${types}`;
  return new TypeError(`Cannot ${what} ${shown(value)}: ${why}`);
}

/** A safe integer from `least` to `most`. Throws TypeError or RangeError. */
export function integer(
  name: string,
  value: unknown,
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== "number") throw invalid(name, value, "it must be a number");
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    const bounds = most === Number.MAX_SAFE_INTEGER
      ? `a safe integer of ${least} or more`
      : least === Number.MIN_SAFE_INTEGER
      ? `an integer of ${most} or less`
      : `an integer from ${least} to ${most}`;
    throw new RangeError(`Invalid ${name} ${value}: it must be ${bounds}`);
  }
  return value;
}

/** Checks a range: its end is a safe integer, and both numbers are multiples of `alignment`. */
export function checkRange(position: number, length: number, alignment = 1, name = "length"): void {
  integer("position", position);
  integer("length", length);
  integer("position + length", position + length);
  checkAligned("position", position, alignment);
  checkAligned(name, length, alignment);
}

function checkAligned(name: string, value: number, alignment: number): void {
  if (value % alignment === 0) return;
  throw new RangeError(`Invalid ${name} ${value}: it must be a multiple of ${alignment}`);
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw invalid(name, value, "it must be true or false");
  return value;
}

/** Checks an option: returns its value, or its default if it is left out. */
type Option<T> = (name: string, value: unknown) => T;

export function flagOption(fallback: boolean): Option<boolean> {
  return (name, value) => flag(name, value ?? fallback);
}

export function integerOption<Default extends number | undefined>(
  fallback: Default,
  least?: number,
  most?: number,
): Option<number | Default> {
  return (name, value) => value == null ? fallback : integer(name, value, least, most);
}

/** One of some words, by default the first. */
export function choiceOption<const Choice extends string>(...choices: Choice[]): Option<Choice> {
  return (name, value) => {
    const choice = choices.find((each) => each === (value ?? choices[0]));
    if (choice !== undefined) return choice;
    const words = new Intl.ListFormat("en-GB", { type: "disjunction" });
    throw invalid(name, value, `it must be ${words.format(choices.map(shown))}`);
  };
}

type Known = Record<string, Option<unknown>>;
type Checked<Table extends Known> = {
  readonly [Name in keyof Table]: ReturnType<Table[Name]>;
};

/** The defaults of each table, for calls without options. */
const defaults = new WeakMap<Known, Checked<Known>>();

/** Checked options with their defaults. Throws TypeError for an unknown option: it may be a misspelt one. */
export function readOptions<Table extends Known>(options: unknown, known: Table): Checked<Table> {
  if (options !== undefined) return checkOptions(options, known);
  let checked = defaults.get(known);
  if (!checked) defaults.set(known, checked = checkOptions({}, known));
  return checked as Checked<Table>;
}

function checkOptions<Table extends Known>(options: unknown, known: Table): Checked<Table> {
  if (typeof options !== "object" || options === null) {
    throw invalid("options", options, "it must be an object");
  }
  const given = options as Record<string, unknown>;
  for (const option of Object.keys(given)) {
    if (Object.hasOwn(known, option)) continue;
    const hint = hintFor(option, Object.keys(known));
    throw new TypeError(`Unknown option ${shown(option)}: ${hint}`);
  }
  // A property of Object.prototype is not an option of the caller, and its setter is not called.
  const check = ([name, option]: [string, Option<unknown>]) => {
    const isGiven = Object.hasOwn(given, name) || !(name in Object.prototype);
    return [name, option(name, isGiven ? given[name] : undefined)];
  };
  return Object.fromEntries(Object.entries(known).map(check)) as Checked<Table>;
}

/** Whether the only option, a boolean, is true. */
export function isSet<Name extends string>(
  options: { readonly [Option in Name]?: boolean } | undefined,
  name: Name,
): boolean {
  if (options === undefined) return false;
  // The tasks that share a log ask this for each record, and readOptions takes ten times as long.
  if (hasOnly(options, name)) return flag(name, options[name] ?? false);
  return readOptions(options, { [name]: flagOption(false) })[name]!;
}

/** Whether a value is an object with one property, which has this name. */
function hasOnly(value: unknown, name: string): boolean {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return false;
  for (const each in value) if (each !== name) return false;
  return true;
}

/** The candidate with the fewest edits, or all of them if none is similar. */
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

export function pathText(name: string, value: unknown): string {
  let path = value;
  if (value instanceof URL) {
    if (value.protocol !== "file:") throw invalid(name, value.href, "a URL must be a file: URL");
    if (value.hostname !== "") throw invalid(name, value.href, "a file: URL must have no host");
    path = tryOn(decodedPath, value);
    if (path === undefined) throw invalid(name, value.href, "a file: URL must be UTF-8 text");
  }
  if (typeof path !== "string") throw invalid(name, value, "it must be a string or a file: URL");
  if (path.includes("\0")) throw invalid(name, path, "it must not contain a NUL character");
  return path;
}

/** The path of a file: URL, as Deno's own functions take it. Throws if it is not UTF-8 text. */
function decodedPath({ pathname }: URL): string {
  return decodeURIComponent(pathname.replace(/%(?![0-9A-Fa-f]{2})/g, "%25"));
}

function tryOn<Value, Result>(call: (on: Value) => Result, value: Value): Result | undefined {
  try {
    return call(value);
  } catch {
    return undefined;
  }
}

/**
 * A getter of the built-in class, because an object's own `length` may differ from the length that native code uses. It
 * takes objects of other realms (node:vm), which are no instances of this realm's classes, and throws for other classes.
 */
function getterOf<T>(prototype: object, name: PropertyKey): (of: unknown) => T {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name)!;
  return Function.prototype.call.bind(get!);
}

const gettersOf = (prototype: object) => ({
  buffer: getterOf<ArrayBufferLike>(prototype, "buffer"),
  byteOffset: getterOf<number>(prototype, "byteOffset"),
  byteLength: getterOf<number>(prototype, "byteLength"),
});

const TypedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype);
const typedArray = gettersOf(TypedArrayPrototype);
const dataView = gettersOf(DataView.prototype);
/** The name of a typed array's class; undefined for everything else. */
const typedArrayName = getterOf<string | undefined>(TypedArrayPrototype, Symbol.toStringTag);
const detached = getterOf<boolean>(ArrayBuffer.prototype, "detached");
const sharedLength = getterOf<number>(SharedArrayBuffer.prototype, "byteLength");

/** Whether a buffer is detached; undefined if the value is none. */
function isDetached(value: unknown): boolean | undefined {
  const isShared = tryOn((given) => given instanceof SharedArrayBuffer, value);
  const answer = isShared ? undefined : tryOn(detached, value);
  return answer ?? (tryOn(sharedLength, value) === undefined ? undefined : false);
}

export function isUint8Array(value: unknown): value is Uint8Array {
  return typedArrayName(value) === "Uint8Array";
}

const keysOf: (of: unknown) => unknown = Function.prototype.call.bind(Uint8Array.prototype.keys);

/** Whether a view reaches beyond its buffer. A typed array that does has a length of 0. */
function isOutOfBounds(view: ArrayBufferView): boolean {
  if (typedArrayName(view) === undefined) return tryOn(dataView.byteLength, view) === undefined;
  return typedArray.byteLength(view) === 0 && tryOn(keysOf, view) === undefined;
}

/** The true length of a Uint8Array, whatever its own `length` is. */
export const lengthOfBytes: (bytes: Uint8Array) => number = typedArray.byteLength;

/** The bytes of a chunk as a plain view: a derived class may have its own `length`. Throws TypeError for other values. */
export function chunkBytes(name: string, chunk: unknown): Uint8Array {
  const isTyped = typedArrayName(chunk) !== undefined;
  const view = isTyped ? typedArray : ArrayBuffer.isView(chunk) ? dataView : undefined;
  const buffer = (view ? view.buffer(chunk) : chunk) as ArrayBufferLike;
  const isGone = isDetached(buffer);
  if (isGone === undefined) {
    const hint = typeof chunk === "string" ? " (encode text with TextEncoder)" : "";
    const rule = `${name} must be an ArrayBuffer or a view of one${hint}`;
    throw new TypeError(`Cannot write ${shown(chunk)}: ${rule}`);
  }
  // A detached buffer has no bytes. Writing nothing would silently lose data.
  if (isGone) throw new TypeError(`Cannot write ${name}: its buffer is detached`);
  // The view has a fixed length, although a resizable buffer may grow.
  if (!view) return new Uint8Array(buffer, 0, lengthOfBytes(new Uint8Array(buffer)));
  if (isOutOfBounds(chunk as ArrayBufferView)) {
    throw new TypeError(`Cannot write ${name}: its buffer was shrunk`);
  }
  return new Uint8Array(buffer, view.byteOffset(chunk), view.byteLength(chunk));
}
