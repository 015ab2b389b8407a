// Measures how long flushSync() blocks, beside that of sonic-boom, with 1, 100 and 10,000 lines. The contestants take
// turns, call by call, in one process.
//
//     deno run -A bench/flush_sync.ts [CALLS=300]

import sonicBoomModule from "npm:sonic-boom@5.0.2";
import { DmaFile, type DmaOpenOptions } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { median, percentile } from "./harness/statistics.ts";

const { SonicBoom } = sonicBoomModule;

/** A log line of 100 bytes. */
const LINE = `${"x".repeat(99)}\n`;
const bytes = new TextEncoder().encode(LINE);
const COUNTS = [1, 100, 10_000];

/** An open log. */
interface Log {
  write(): void;
  flushSync(): void;
}

const directory = benchDirectory();

function sonicBoom(name: string): Log {
  // The settings of `pino.destination({ sync: false })`. Its flushSync() ends with an fsync.
  const log = new SonicBoom({ dest: `${directory}/${name}`, minLength: 4096, sync: false });
  return { write: () => void log.write(LINE), flushSync: () => log.flushSync() };
}

async function own(name: string, options: DmaOpenOptions, durable: boolean): Promise<Log> {
  const file = await DmaFile.open(`${directory}/${name}`, { create: true, ...options });
  const writer = file.writable;
  return { write: () => void writer.write(bytes), flushSync: () => writer.flushSync({ durable }) };
}

const logs: Record<string, Log> = {
  "sonic-boom": sonicBoom("a"),
  "durable, true append": await own("b", { append: true }, true),
  "durable, past the page cache": await own("c", { write: true }, true),
  "true append": await own("d", { append: true }, false),
  "past the page cache": await own("e", { write: true }, false),
};

const calls = Number(Deno.args[0] ?? 300);
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
// sonic-boom opens its file in the background.
await new Promise((resolve) => setTimeout(resolve, 100));

for (const count of COUNTS) {
  const taken = new Map(Object.keys(logs).map((name) => [name, [] as number[]]));
  for (let call = 0; call < calls; call++) {
    for (const [name, log] of Object.entries(logs)) {
      await turn();
      for (let line = 0; line < count; line++) log.write();
      const began = performance.now();
      log.flushSync();
      taken.get(name)!.push(performance.now() - began);
    }
  }
  for (const [name, samples] of taken) {
    const micros = (ms: number) => Math.round(ms * 1000);
    // The first calls include compilation.
    const warm = samples.slice(calls / 10);
    const last = micros(percentile(warm, 0.99));
    console.log(`${count} lines, ${name}: ${micros(median(warm))} µs (99th percentile ${last})`);
  }
}
// The logs are not closed: their directory is removed.
Deno.exit();
