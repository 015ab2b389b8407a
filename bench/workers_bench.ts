// Two isolates write at once, each its own file or its half of one, beside one isolate that writes the same bytes.

import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays, DISK_RUNS } from "./harness/ways.ts";
import type { Part } from "./programs/part.ts";

const SIZE = 256 << 20;
const HALF = SIZE / 2;
const directory = benchDirectory();

const workers = [0, 1].map(() =>
  new Worker(new URL("./programs/part.ts", import.meta.url), { type: "module" })
);
globalThis.addEventListener("unload", () => workers.forEach((worker) => worker.terminate()));

/** Each Worker writes one part. */
async function write(parts: Part[]): Promise<void> {
  await Promise.all(parts.map(async (part, index) => {
    const worker = workers[index]!;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    worker.onmessage = resolve;
    worker.onerror = reject;
    worker.postMessage(part);
    await promise;
  }));
}

async function writeAnew(parts: Part[]): Promise<void> {
  for (const { path } of parts) await Deno.remove(path).catch(() => {});
  await write(parts);
}

benchWays("256 MiB by 64 KiB chunks, durable", DISK_RUNS, {
  "one Worker": () => writeAnew([{ path: `${directory}/one`, position: 0, length: SIZE }]),
  "two Workers, a file each": () =>
    writeAnew(
      ["a", "b"].map((name) => ({ path: `${directory}/${name}`, position: 0, length: HALF })),
    ),
  "two Workers, half a file each": () =>
    writeAnew(
      [0, HALF].map((position) => ({ path: `${directory}/halves`, position, length: HALF })),
    ),
});
