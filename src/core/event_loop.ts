// Streams whose other end is always ready go on from one microtask to the next, and nothing else of the program gets a
// turn meanwhile: not a timer, not a request. So they let the event loop come round now and then.

/** So long may bytes move on before the event loop has to come round, in milliseconds. */
const LONG = 1;

/** After so many bytes the clock is looked at. */
const LOOK_EVERY = 256 << 10;

/** What a chunk counts beside its bytes: to hand it on takes some microseconds, however small it is. */
const EACH_CHUNK = 1 << 10;

/** Nothing is done about it for the first so many milliseconds: it takes Deno 4 to load its `setImmediate`. */
const FIRST_AFTER = 20;

/** Not the global one: frameworks for tests put one in its place that waits to be told. */
let timers: Promise<typeof import("node:timers")> | undefined;

let moved = 0;
let since: number | undefined;
let turn: Promise<void> | undefined;

/**
 * Counts a chunk that was moved with nothing to wait for. Where that has been going on for long, whoever moves it should
 * wait for the promise that this returns: it resolves when the event loop has come round. Where one has to wait, all do:
 * it comes round only when nobody goes on.
 *
 * By `setImmediate`: in Deno what comes from an operation that is ready, as a message does, is served up to 128 times
 * before a timer is.
 */
export function turnAfter(bytes: number): Promise<void> | undefined {
  if (turn) return turn;
  moved += bytes + EACH_CHUNK;
  if (moved < LOOK_EVERY) return undefined;
  moved = 0;
  const now = performance.now();
  since ??= now + FIRST_AFTER;
  if (now - since < LONG) return undefined;
  return turn = nextTurn();
}

async function nextTurn(): Promise<void> {
  const { setImmediate } = await (timers ??= import("node:timers"));
  await new Promise<void>((resolve) => setImmediate(resolve));
  turn = undefined;
  since = performance.now();
}
