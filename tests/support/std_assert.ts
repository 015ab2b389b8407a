// Stands in for @std/assert if JSR cannot be reached: the functions that the tests use, with Node's deep equality.

import { isDeepStrictEqual } from "node:util";

// deno-lint-ignore no-explicit-any
type AnyConstructor = abstract new (...args: any[]) => any;

export class AssertionError extends Error {
  override name = "AssertionError";
}

/** Throws. */
export function fail(msg?: string): never {
  throw new AssertionError(`Failed assertion${msg ? `: ${msg}` : ""}`);
}

/** Throws unless `condition` is truthy. */
export function assert(condition: unknown, msg = ""): asserts condition {
  if (!condition) throw new AssertionError(msg || "Expected a truthy value");
}

/** Throws unless `condition` is falsy. */
export function assertFalse(condition: unknown, msg?: string): void {
  check(!condition, () => `Expected a falsy value, got ${show(condition)}`, msg);
}

/** Throws unless both are equal by value, all the way down. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (isBytes(actual) && isBytes(expected)) {
    // Deep equality is slow for large arrays, and its report too long.
    const index = firstDifference(actual, expected);
    check(index < 0, () => describeBytes(actual, expected, index), msg);
  } else {
    const report = () =>
      `Values are not equal:\n  actual: ${show(actual)}\nexpected: ${show(expected)}`;
    check(isDeepStrictEqual(actual, expected), report, msg);
  }
}

/** Throws if both are equal by value. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  check(!isDeepStrictEqual(actual, expected), () => `Both are ${show(actual)}`, msg);
}

/** Throws unless both are the same value or object. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  const report = () =>
    `Values are not the same:\n  actual: ${show(actual)}\nexpected: ${show(expected)}`;
  check(Object.is(actual, expected), report, msg);
}

/** Throws if both are the same value or object. */
export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  check(!Object.is(actual, expected), () => `Both are the same ${show(actual)}`, msg);
}

/** Throws unless `actual` is an instance of `expectedType`. */
export function assertInstanceOf<T extends AnyConstructor>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  const report = () => `Expected an instance of ${expectedType.name}, got ${show(actual)}`;
  check(actual instanceof expectedType, report, msg);
}

/** Throws unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  check(
    actual.includes(expected),
    () => `Expected ${show(actual)} to contain ${show(expected)}`,
    msg,
  );
}

/** Throws unless `expected` matches `actual`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  check(actual.search(expected) >= 0, () => `Expected ${show(actual)} to match ${expected}`, msg);
}

export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  check(actual > expected, () => `Expected ${show(actual)} > ${show(expected)}`, msg);
}

export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  check(actual < expected, () => `Expected ${show(actual)} < ${show(expected)}`, msg);
}

/**
 * Throws unless `fn` throws an error, of the given class and with the given words. Returns the error.
 */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(fn: () => unknown, ...wanted: Wanted): unknown {
  try {
    fn();
  } catch (error) {
    return judge(error, wanted);
  }
  throw new AssertionError(withMessage("Expected the function to throw", wanted));
}

/**
 * Rejects unless the promise of `fn` rejects with an error, of the given class and with the given words. Resolves to the
 * error.
 */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
export function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  ...wanted: Wanted
): Promise<unknown> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    const text = `Expected the function to reject, but it threw at once: ${show(error)}`;
    throw new AssertionError(withMessage(text, wanted));
  }
  try {
    await promise;
  } catch (error) {
    return judge(error, wanted);
  }
  throw new AssertionError(withMessage("Expected the function to reject", wanted));
}

/** The further arguments of assertThrows and assertRejects. */
type Wanted =
  | [msg?: string | undefined]
  | [ErrorClass: AnyConstructor, includes?: string | undefined, msg?: string | undefined];

/** Returns the error if it is the wanted one, and else throws. */
function judge(error: unknown, wanted: Wanted): unknown {
  const [ErrorClass, includes = ""] = wanted;
  if (typeof ErrorClass !== "function") return error;
  if (!(error instanceof ErrorClass)) {
    const text = `Expected an error of class ${ErrorClass.name}, got ${show(error)}`;
    throw new AssertionError(withMessage(text, wanted), { cause: error });
  }
  if (!error.message.includes(includes)) {
    const text = `Expected the error to say ${show(includes)}, got ${show(error.message)}`;
    throw new AssertionError(withMessage(text, wanted), { cause: error });
  }
  return error;
}

function withMessage(text: string, wanted: Wanted): string {
  const msg = typeof wanted[0] === "function" ? wanted[2] : wanted[0];
  return msg ? `${text}: ${msg}` : text;
}

function check(holds: boolean, report: () => string, msg?: string): void {
  if (!holds) throw new AssertionError(msg ? `${report()}: ${msg}` : report());
}

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 6, strAbbreviateSize: 2_000 });
}

function isBytes(value: unknown): value is Uint8Array {
  // A subclass, such as Buffer, is not equal to a plain array of the same bytes.
  return value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype;
}

/**
 * The index of the first byte that differs or is missing in one of both; -1 if there is none.
 */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length);
  for (let index = 0; index < common; index++) {
    if (a[index] !== b[index]) return index;
  }
  return a.length === b.length ? -1 : common;
}

function describeBytes(actual: Uint8Array, expected: Uint8Array, index: number): string {
  const around = (bytes: Uint8Array) =>
    `${bytes.length} bytes, from ${index}: ${[...bytes.subarray(index, index + 16)].join(" ")}`;
  return `Bytes differ at ${index}:\n  actual: ${around(actual)}\nexpected: ${around(expected)}`;
}
