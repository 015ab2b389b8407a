// Yields to the event loop: a stream whose other end is always ready would starve timers and requests.

/** The longest time that chunks move without a turn of the event loop, in milliseconds. */
const LONGEST_RUN_MS = 1;
/** The clock is read once per this many bytes. */
const BYTES_PER_LOOK = 256 << 10;
/** The bytes that each chunk counts in addition to its length, because even a small chunk takes some microseconds. */
const BYTES_PER_CHUNK = 1 << 10;
/** The additional delay of the first turn in milliseconds: Deno takes 4 ms to load `setImmediate`. */
const FIRST_RUN_MS = 20;

/** The cell of waits that only a timeout ends. */
export const neverNotified: Int32Array = new Int32Array(new SharedArrayBuffer(4));

// Taken at the import, because test frameworks later replace the global object with a fake.
export const { performance } = globalThis;
/** Loaded at the first use, which takes some 5 ms. */
let timers: Promise<typeof import("node:timers")> | undefined;
const loadTimers = () => timers ??= import("node:timers");
let turn: Promise<void> | undefined;
let turnBegan = 0;
/** Whether the turn is overdue: every stream yields until the loop has turned. */
export let isOverdue = false;

export async function pauseFor(milliseconds: number, signal?: AbortSignal): Promise<void> {
  const { promises } = await loadTimers();
  await promises.setTimeout(milliseconds, undefined, { ref: true, signal }).catch(() => {});
}

/** Resolves when the event loop has turned. Callers share the turn. */
export function eventLoopTurn(): Promise<void> {
  if (turn) return turn;
  turnBegan = performance.now();
  return turn = turnOnce();
}

/** Uses no message channel: Deno serves up to 128 messages before a timer. */
async function turnOnce(): Promise<void> {
  const { setImmediate } = await loadTimers();
  await new Promise<void>((resolve) => setImmediate(resolve));
  turn = undefined;
  isOverdue = false;
}

const settled = Promise.resolve();

/** Calls `work` in a microtask. Test frameworks replace the global function with a fake. */
export function queueMicrotask(work: () => void): void {
  settled.then(work);
}

/** Microtasks in which a caller makes its next call: an `async` function takes up to three, and they nest. */
const MICROTASKS = 16;

/** Calls `work` in this turn of the event loop, after callers with resolved promises have made their next call. */
export async function afterCallers(work: () => void): Promise<void> {
  for (let left = MICROTASKS; left > 0; left--) await settled;
  work();
}

let moved = 0;
let firstLook: number | undefined;

/** Counts a chunk. Returns a promise if the loop has not turned for too long: it turns only if every stream yields. */
export function yieldIfNeeded(bytes: number): Promise<void> | undefined {
  if (isOverdue) return turn;
  moved += bytes + BYTES_PER_CHUNK;
  if (moved < BYTES_PER_LOOK) return undefined;
  moved = 0;
  const now = performance.now();
  firstLook ??= now;
  if (now - firstLook < FIRST_RUN_MS) return undefined;
  // The loop may also have turned by itself.
  const turning = eventLoopTurn();
  isOverdue = now - turnBegan >= LONGEST_RUN_MS;
  return isOverdue ? turning : undefined;
}
