// Lets the event loop turn. Streams whose other end is always ready go on from microtask to microtask, and nothing else
// of the program gets a turn meanwhile: not a timer, not a request.

/** Bytes may move for so long before the event loop has to turn, in milliseconds. */
const LONGEST_RUN_MS = 1;
/** The clock is looked at after so many bytes. */
const BYTES_PER_LOOK = 256 << 10;
/** What a chunk counts beside its bytes: handing it on takes some microseconds, however small it is. */
const BYTES_PER_CHUNK = 1 << 10;
/** The first run may be longer by so much: Deno takes 4 ms to load `setImmediate`. */
const FIRST_RUN_MS = 20;

// Not the global one: test frameworks replace it by one that waits to be told.
let timers: Promise<typeof import("node:timers")> | undefined;

/**
 * Resolves when the event loop has turned. By `setImmediate`: a message comes from an operation that is ready, and Deno
 * serves up to 128 of those before a timer.
 */
export async function eventLoopTurn(): Promise<void> {
  const { setImmediate } = await (timers ??= import("node:timers"));
  await new Promise<void>((resolve) => setImmediate(resolve));
}

let moved = 0;
let firstLook: number | undefined;
/** Pending until the loop turns, by itself or because every stream yields. */
let turn: Promise<void> | undefined;
let turnBegan = 0;
/** The loop has not turned for too long: every stream yields until it has. */
let isDue = false;

/**
 * Counts a chunk that moved without waiting. Where chunks have moved so for too long without a turn of the loop it returns
 * a promise, which whoever moves them should await. All callers share it: the loop turns only if every stream yields.
 */
export function yieldIfNeeded(bytes: number): Promise<void> | undefined {
  if (isDue) return turn;
  moved += bytes + BYTES_PER_CHUNK;
  if (moved < BYTES_PER_LOOK) return undefined;
  moved = 0;
  const now = performance.now();
  firstLook ??= now;
  if (now - firstLook < FIRST_RUN_MS) return undefined;
  if (!turn) {
    turnBegan = now;
    turn = eventLoopTurn().finally(() => {
      turn = undefined;
      isDue = false;
    });
  }
  isDue = now - turnBegan >= LONGEST_RUN_MS;
  return isDue ? turn : undefined;
}
