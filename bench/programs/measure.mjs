// What every JavaScript program of the comparison shares, so that Deno, Node.js and Bun are measured
// by the same code: the warm chunk, the clock around the job, and the timer that feels the event loop.

const chunks = new Map();

/** Bytes that differ, so that no layer below can take a short way with zeros: the same ones each time. */
export function warmChunk(length) {
  if (!chunks.has(length)) chunks.set(length, makeChunk(length));
  return chunks.get(length);
}

function makeChunk(length) {
  const chunk = new Uint8Array(length);
  let state = 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    chunk[i] = state >>> 24;
  }
  return chunk;
}

/** A web stream of `size` bytes, the same chunk again and again: the source is never the bottleneck. */
export function warmStream(size, chunkSize) {
  const chunk = warmChunk(chunkSize);
  let left = size;
  return new ReadableStream({
    pull(controller) {
      if (left >= chunkSize) {
        left -= chunkSize;
        controller.enqueue(chunk);
        return;
      }
      if (left > 0) controller.enqueue(chunk.subarray(0, left));
      left = 0;
      controller.close();
    },
  });
}

/**
 * Runs a job and prints one line of JSON: how long it took, what it returned, and by how many
 * milliseconds each tick of a 1 ms timer was late after the job said that its file is open. (What
 * the first open costs is measured apart from what the writing costs.)
 */
export async function measure(job) {
  let delays = [];
  let last = performance.now();
  const feel = () => {
    const now = performance.now();
    delays.push(Math.round((now - last - 1) * 1000) / 1000);
    last = now;
  };
  const timer = setInterval(feel, 1);
  const opened = () => {
    delays = [];
    last = performance.now();
  };
  const started = performance.now();
  const facts = await job(opened);
  const seconds = (performance.now() - started) / 1000;
  clearInterval(timer);
  // A job that never let the timer run ends in one long delay, which counts too.
  if (performance.now() - last > 2 || delays.length === 0) feel();
  console.log(JSON.stringify({ ...facts, seconds, delays }));
}

/**
 * Runs `count` operations on blocks anywhere in a file of `size` bytes, `atOnce` at a time. Each worker is made by `worker`,
 * with a buffer of its own, and is called with positions: the same ones each time.
 */
export async function everywhere({ size, chunk, count, atOnce }, worker) {
  const blocks = Math.floor(size / chunk);
  let state = 1;
  let left = count;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 4) % blocks * chunk;
  };
  const work = async () => {
    const operation = worker();
    while (left-- > 0) await operation(next());
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return { bytes: count * chunk, count };
}

/** `name=value` arguments, each as a number where it is one. */
export function parsePairs(args) {
  const pairs = {};
  for (const arg of args) {
    const at = arg.indexOf("=");
    const value = arg.slice(at + 1);
    pairs[arg.slice(0, at)] = /^\d+$/.test(value) ? Number(value) : value;
  }
  return pairs;
}
