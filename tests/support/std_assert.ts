// Stands in for @std/assert if JSR cannot be reached: the functions that the tests use, with Node's deep equality.

import { isDeepStrictEqual } from "node:util";

// deno-lint-ignore no-explicit-any
type ErrorType<E = any> = abstract new (...args: any[]) => E;

class AssertionError extends Error {
  override name = "AssertionError";
}

function expect(
  holds: boolean,
  actual: unknown,
  what: string,
  expected: unknown,
  msg?: string,
): asserts holds {
  if (holds) return;
  const show = (value: unknown) => Deno.inspect(value, { depth: 6, strAbbreviateSize: 2_000 });
  const report = `  actual: ${show(actual)}\n${what}: ${show(expected)}`;
  throw new AssertionError(`Expected\n${report}${msg ? `: ${msg}` : ""}`);
}

export function assert(condition: unknown, msg = ""): asserts condition {
  if (!condition) throw new AssertionError(msg || "Expected a truthy value");
}

/** Throws unless both are equal by value, all the way down. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  // Deep equality is slow for large arrays, and its report too long.
  if (isBytes(actual) && isBytes(expected)) assertBytes(actual, expected, msg);
  else expect(isDeepStrictEqual(actual, expected), actual, "to equal", expected, msg);
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  expect(Object.is(actual, expected), actual, "to be the same as", expected, msg);
}

export function assertInstanceOf<T extends ErrorType>(
  actual: unknown,
  expectedType: T,
  msg?: string,
): asserts actual is InstanceType<T> {
  expect(actual instanceof expectedType, actual, "to be an instance of", expectedType, msg);
}

export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  expect(actual.includes(expected), actual, "to contain", expected, msg);
}

export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  expect(actual.search(expected) >= 0, actual, "to match", expected, msg);
}

/** Throws unless `fn` throws an error, of the given class and with the given words. Returns the error. */
export function assertThrows<E = unknown>(
  fn: () => unknown,
  ErrorClass?: ErrorType<E>,
  includes = "",
  msg?: string,
): E {
  try {
    fn();
  } catch (error) {
    if (ErrorClass) {
      assertInstanceOf(error, ErrorClass, msg);
      assertStringIncludes((error as Error).message, includes, msg);
    }
    return error as E;
  }
  throw new AssertionError(`Expected the function to throw ${ErrorClass?.name ?? ""} ${includes}`);
}

/** Rejects unless the promise of `fn` rejects, as {@linkcode assertThrows}. Resolves to the error. */
export async function assertRejects<E = unknown>(
  fn: () => PromiseLike<unknown>,
  ...expected: [ErrorClass?: ErrorType<E>, includes?: string, msg?: string]
): Promise<E> {
  const outcome = await fn().then(() => undefined, (error) => ({ error }));
  return assertThrows(() => {
    if (outcome) throw outcome.error;
  }, ...expected);
}

function isBytes(value: unknown): value is Uint8Array {
  // A subclass, such as Buffer, is not equal to a plain array of the same bytes.
  return value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype;
}

function assertBytes(actual: Uint8Array, expected: Uint8Array, msg?: string): void {
  const length = Math.max(actual.length, expected.length);
  let index = 0;
  while (index < length && actual[index] === expected[index]) index++;
  const around = (bytes: Uint8Array) => bytes.subarray(index, index + 16);
  const difference = `${actual.length} bytes to be ${expected.length}, from ${index} on`;
  expect(index === length, around(actual), difference, around(expected), msg);
}
