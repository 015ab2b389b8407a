// A program that measures the event loop during work on files of a server that is slow, or stopped for a while. Prints
// the figures as JSON.
//
//   deno run -A tests/mounts/time_loop.ts DIRECTORY [PID...]
//
// The processes are stopped for three seconds.

import { DmaFile, engineInfo } from "../../mod.ts";
import { run } from "../setup/command.ts";
import { pattern } from "../support/bytes.ts";

export interface Loop {
  readonly engine: string;
  /** The longest time between two timers in milliseconds. */
  readonly longest: number;
  /** The total time in milliseconds. */
  readonly taken: number;
  /** The percentage of due timers that ran. */
  readonly timers: number;
}

const TIMER_MS = 10;

/** The time for which a server is stopped, in seconds: longer than the event loop is ever busy by itself. */
const STOP_SECONDS = 3;

/** Every call that needs a server, once. */
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

/** Another program does this, so that the server always continues. */
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
  // First on a file system in memory, so that compiling and loading do not count as the server's delay.
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
