// A program: whether the event loop turns while files of a server are worked on that is slow, or stands still for a while.
// Prints what it saw, as JSON.
//
//   deno run -A tests/mounts/time_loop.ts DIRECTORY [PID...]
//
// The processes are stopped for three seconds, and go on.

import { DmaFile, engineInfo } from "../../mod.ts";
import { run } from "../setup/command.ts";
import { pattern } from "../support/bytes.ts";

export interface Loop {
  readonly engine: string;
  /** Milliseconds between two timers at most. */
  readonly longest: number;
  /** Milliseconds that it all took. */
  readonly taken: number;
  /** Percent of the timers that were due. */
  readonly timers: number;
}

const TIMER_MS = 10;

/** Seconds for which a server stands still: more than the event loop is ever busy by itself. */
const STOP_SECONDS = 3;

/** Everything that asks a server, once. */
async function work(directory: string): Promise<void> {
  const bytes = pattern(10_001);
  const [path, moved, whole] = ["file", "moved", "whole"].map((name) => `${directory}/${name}`) as [
    string,
    string,
    string,
  ];
  const file = await DmaFile.create(path);
  const writer = file.writable;
  await writer.write(bytes);
  await writer.sync({ tail: true });
  await writer.close();
  await using again = await DmaFile.open(path, { write: true });
  await again.readAt(5, 9000);
  await again.size();
  if (await again.tryLock(true)) await again.unlock();
  await again.truncate(5001);
  await again.sync();
  await again.rename(moved);
  await again.remove();
  const atomic = await DmaFile.create(whole, { atomic: true });
  await atomic.writable.write(bytes);
  await atomic.writable.close();
  await Deno.remove(whole);
}

/** Another program does it: it has the server go on whatever happens here. */
async function stop(processes: readonly string[]): Promise<void> {
  const all = processes.join(" ");
  const stops = `kill -STOP ${all}; sleep ${STOP_SECONDS}; kill -CONT ${all}`;
  await run("sh", ["-c", stops]);
}

async function time(work: () => Promise<void>): Promise<Omit<Loop, "engine">> {
  let longest = 0;
  let count = 0;
  const started = performance.now();
  let last = started;
  const timer = setInterval(() => {
    const now = performance.now();
    count++;
    longest = Math.max(longest, now - last);
    last = now;
  }, TIMER_MS);
  await work();
  clearInterval(timer);
  const taken = performance.now() - started;
  longest = Math.max(longest, performance.now() - last);
  return {
    longest: Math.round(longest),
    taken: Math.round(taken),
    timers: Math.round(100 * count * TIMER_MS / taken),
  };
}

if (import.meta.main) {
  const [directory = ".", ...processes] = Deno.args;
  // On a file system in memory first: what is compiled and loaded then is not the server's delay.
  const warm = await Deno.makeTempDir({ dir: "/dev/shm" });
  await work(warm);
  await Deno.remove(warm, { recursive: true });
  let stands = processes.length > 0;
  if (stands) stop(processes).then(() => stands = false);
  const loop = await time(async () => {
    do await work(directory); while (stands);
  });
  console.log(JSON.stringify({ engine: engineInfo().engine, ...loop }));
}
