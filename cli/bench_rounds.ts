// The two sides of the benchmark: the same stream into a durable file, and a file read to its end. They take turns until the
// time is over, so that other load on the machine affects both alike.
import process from "node:process";
import { DmaFile } from "../mod.ts";

/** Bytes of one chunk: the most that a socket or a pipe delivers at once. */
export const CHUNK_BYTES = 64 * 1024;

/** One way to write and to read. */
interface Side {
  /** Its name in JSON and in names of files. */
  readonly id: "dma" | "deno";
  /** Writes `size` bytes. They are durable when it resolves. */
  write(path: string, size: number, signal: AbortSignal): Promise<void>;
  /** Reads a file to its end. Resolves to the number of bytes. */
  read(path: string, signal: AbortSignal): Promise<number>;
}

const dma: Side = {
  id: "dma",
  async write(path, size, signal) {
    await using file = await DmaFile.create(path);
    await chunks(size).pipeTo(file.writable, { signal });
  },
  async read(path, signal) {
    await using file = await DmaFile.open(path);
    return await count(file.readable, signal);
  },
};

const deno: Side = {
  id: "deno",
  async write(path, size, signal) {
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    await chunks(size).pipeTo(file.writable, { signal });
    // The stream has closed its descriptor without a sync.
    using again = await Deno.open(path, { write: true });
    await again.syncData();
  },
  async read(path, signal) {
    const file = await Deno.open(path);
    return await count(file.readable, signal);
  },
};

const SIDES: readonly Side[] = [dma, deno];

async function count(readable: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for await (const chunk of readable) {
    signal.throwIfAborted();
    bytes += chunk.length;
  }
  return bytes;
}

let warm: Uint8Array<ArrayBuffer> | undefined;

/** The same chunk again and again, so that the source costs nothing. */
function chunks(size: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  warm ??= crypto.getRandomValues(new Uint8Array(CHUNK_BYTES));
  const chunk = warm;
  let left = size;
  return new ReadableStream({
    pull(controller) {
      const length = Math.min(left, chunk.length);
      if (length > 0) controller.enqueue(chunk.subarray(0, length));
      left -= length;
      if (left === 0) controller.close();
    },
  });
}

// ---- rounds ----------------------------------------------------------------------------------------------------

const MIB = 1024 ** 2;
/** Enough to load and compile everything, and to estimate the rate of the disk. */
const WARM_UP_BYTES = 16 * MIB;
/** A file that takes less than a few milliseconds is too short to measure. */
const LEAST_BYTES = 16 * MIB;
const MOST_BYTES = 1024 * MIB;
/** A median of fewer samples has little meaning. */
const WANTED_ROUNDS = 5;

export interface Sample {
  /** Bytes a second. */
  rate: number;
  /** CPU seconds of this process, in user space and in the kernel. */
  cpu: number;
  /** Bytes read from the device; undefined without the permission to ask. */
  fromDisk: number | undefined;
}

/** The samples by discipline and side, one for each round. */
export type Samples = Record<"write" | "read", Record<Side["id"], Sample[]>>;

/** The settings of the rounds. */
export interface Course {
  /** A directory that the benchmark may fill. */
  directory: string;
  /** Bytes of each file; undefined to choose by the time. */
  size: number | undefined;
  /** The largest file, in bytes. */
  most: number;
  /** The duration of all rounds. */
  seconds: number;
  signal: AbortSignal;
  /** Shows the current activity. */
  say: (text: string) => void;
}

/** The measurements of all rounds. */
export interface Rounds {
  /** Bytes of each file. */
  size: number;
  samples: Samples;
}

/** Runs rounds until the next would not fit the time; at least one. */
export async function runRounds(course: Course): Promise<Rounds> {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  course.say("warming up");
  const trial = Math.min(WARM_UP_BYTES, course.size ?? Infinity, course.most);
  const quiet = { ...course, say: () => {} };
  await round(quiet, trial, 0, empty());
  // The first run loads the library and compiles the code, so it is not counted.
  const before = elapsed();
  await round(quiet, trial, 1, empty());
  const size = course.size ??
    fitting(trial, elapsed() - before, course.seconds - elapsed(), course.most);
  const samples = empty();
  let longest = 0;
  for (let number = 0; number === 0 || elapsed() + longest < course.seconds; number++) {
    const start = elapsed();
    await round(course, size, number, samples);
    longest = Math.max(longest, elapsed() - start);
  }
  return { size, samples };
}

function empty(): Samples {
  return { write: { dma: [], deno: [] }, read: { dma: [], deno: [] } };
}

/** The size of a file with which the rounds fit the remaining time: a multiple of the minimum. */
function fitting(trial: number, seconds: number, left: number, most: number): number {
  const wanted = trial * Math.max(0, left) / WANTED_ROUNDS / seconds;
  const within = Math.max(LEAST_BYTES, Math.min(wanted, MOST_BYTES));
  return Math.min(Math.floor(within / LEAST_BYTES) * LEAST_BYTES, most);
}

async function round(
  course: Course,
  size: number,
  number: number,
  samples: Samples,
): Promise<void> {
  const { directory, signal } = course;
  const order = number % 2 === 0 ? SIDES : SIDES.toReversed();
  const paths = { dma: `${directory}/dma`, deno: `${directory}/deno` };
  for (const side of order) {
    course.say(`round ${number + 1}: writing, ${side.id}`);
    const sample = await clocked(size, () => side.write(paths[side.id], size, signal));
    samples.write[side.id].push(sample);
    if (side.id === "deno") await remove(paths.deno, directory);
  }
  for (const side of order) {
    // One file for both sides: Direct I/O leaves nothing of it in the page cache.
    course.say(`round ${number + 1}: reading, ${side.id}`);
    const sample = await clocked(size, async () => {
      const bytes = await side.read(paths.dma, signal);
      if (bytes !== size) throw new Error(`Read ${bytes} bytes of ${size} that were written`);
    });
    samples.read[side.id].push(sample);
  }
  await remove(paths.dma, directory);
}

async function clocked(bytes: number, job: () => Promise<void>): Promise<Sample> {
  const readBefore = await bytesFromDisk();
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  await job();
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const readAfter = await bytesFromDisk();
  return {
    rate: bytes / Math.max(seconds, 1e-6),
    cpu: (user + system) / 1e6,
    fromDisk: readBefore === undefined || readAfter === undefined
      ? undefined
      : readAfter - readBefore,
  };
}

/** Bytes that this process has read from devices so far: proc_pid_io(5). */
async function bytesFromDisk(): Promise<number | undefined> {
  const text = await Deno.readTextFile("/proc/self/io").catch(() => "");
  const [, bytes] = /^read_bytes: (\d+)/m.exec(text) ?? [];
  return bytes === undefined ? undefined : Number(bytes);
}

/** Removes a file, and waits until its space is freed, so that the next run does not pay for it. */
async function remove(path: string, directory: string): Promise<void> {
  await Deno.remove(path);
  using handle = await Deno.open(directory);
  // Some file systems cannot sync a directory.
  await handle.sync().catch(() => {});
}
