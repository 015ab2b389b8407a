// The code that all JavaScript programs of the comparison share, so that Deno, Node.js and Bun are measured alike: the
// warm chunk, the clock around the job, and the timer that measures the event loop.

const chunks = new Map();

/** The same bytes each time, without zeros, for which a layer might take a shortcut. */
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

/** A web stream of `size` bytes. It repeats one chunk, so that the source is never the bottleneck. */
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

/** A second in which nothing happens. */
async function idle() {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return { count: 1 };
}

/** Measures the job of this name, one of `jobs` or "idle". */
export async function measureOneOf(jobs, name) {
  const all = { ...jobs, idle };
  if (!all[name]) throw new TypeError(`No such job: ${name} (there are ${Object.keys(all)})`);
  await measure(all[name]);
}

/** Has `write` write `count` files in the folder `path`, `atOnce` at a time. */
export async function writeFiles({ path, chunk, count, atOnce }, makeFolder, write) {
  await makeFolder(path);
  let next = 0;
  const oneByOne = async () => {
    while (next < count) await write(warmChunk(chunk), `${path}/${next++}`);
  };
  await Promise.all(Array.from({ length: atOnce }, oneByOne));
  return { bytes: count * chunk, count };
}

/**
 * Runs a job and prints one line of JSON: its duration, its result, and the delay in milliseconds of each tick of a 1 ms
 * timer from the moment when the job reports that its file is open. (The first open is measured separately.)
 */
async function measure(job) {
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
  // If the job never let the timer run, this is one long delay.
  if (performance.now() - last > 2 || delays.length === 0) feel();
  console.log(JSON.stringify({ ...facts, seconds, delays }));
}

/**
 * Runs `count` operations on blocks at random positions of a file of `size` bytes, `atOnce` at a time. `worker` makes each
 * worker with its own buffer. A worker is called with positions, which are the same in each run.
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

/** `count` ranges of 4 to 64 KiB of a file of `size` bytes, the same in each run: those of the program on glommio too. */
export function rangesOf({ size, count, order }) {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 4;
  };
  const ranges = Array.from({ length: count }, () => {
    const length = (next() % 16 + 1) * 4096;
    return { position: next() % ((size - length) / 4096) * 4096, length };
  });
  return order === "sorted" ? ranges.sort((one, other) => one.position - other.position) : ranges;
}

/**
 * The job's `name=value` arguments, after its name. Values that are numbers become numbers.
 *
 * @returns {{ path: string, source: string, size: number, chunk: number, count: number, atOnce: number, order: string,
 *   bufferSize?: number, depth?: number, highWaterMark?: number }}
 */
export function parsePairs(args) {
  const pairs = { chunk: 65536 };
  for (const arg of args) {
    const at = arg.indexOf("=");
    const value = arg.slice(at + 1);
    pairs[arg.slice(0, at)] = /^\d+$/.test(value) ? Number(value) : value;
  }
  return pairs;
}
