// Two isolates write at once, each its own file or its half of one, beside one isolate that writes the same bytes.

import { benchDirectory, DISK_RUNS } from "./harness/bench_directory.ts";
import type { Part } from "./programs/part.ts";

const SIZE = 256 << 20;
const HALF = SIZE / 2;
const group = "256 MiB by 64 KiB chunks, durable";
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

const WAYS: Record<string, () => Part[]> = {
  "one Worker": () => [{ path: `${directory}/one`, position: 0, length: SIZE }],
  "two Workers, a file each": () =>
    ["a", "b"].map((name) => ({ path: `${directory}/${name}`, position: 0, length: HALF })),
  "two Workers, half a file each": () =>
    [0, HALF].map((position) => ({ path: `${directory}/halves`, position, length: HALF })),
};

for (const [name, partsOf] of Object.entries(WAYS)) {
  Deno.bench({
    ...DISK_RUNS,
    group,
    baseline: name === "one Worker",
    name,
    async fn() {
      const parts = partsOf();
      for (const { path } of parts) await Deno.remove(path).catch(() => {});
      await write(parts);
    },
  });
}
