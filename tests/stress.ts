// The program of `deno task stress [--seconds 60] [--seed N] [--directory PATH]`, which README.md describes. Rounds are
// numbered from the seed on, and the number determines all decisions of a round.

import { parseArgs } from "node:util";
import { engineInfo, ioStats } from "../mod.ts";
import { pause } from "./setup/command.ts";
import { Random } from "./simulator/random.ts";
import { runRound } from "./stress/rounds.ts";
import { terminateOne } from "./stress/terminated.ts";
import "./support/engine.ts";
import { assertNoLeak, type Holdings, takeStock, untilCollected } from "./support/leaks.ts";

/** The part of the time before the first count of resources, because many are created once and kept. */
const WARM_UP = 0.25;
/** Deno keeps memory for the next Worker, and a sanitizer keeps much for itself. */
const TOLERANCE = Deno.env.has("ASAN_OPTIONS")
  ? { mappings: Infinity, resident: Infinity }
  : { mappings: 100, resident: 256 << 20 };
const SLOTS = 6;
/** Slots that run rounds in Workers instead, and terminate them. */
const KILLERS = 2;
/** The distance of the round numbers of Workers, which no Worker exceeds. */
const APART = 1000;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
    directory: { type: "string", default: Deno.env.get("TMPDIR") ?? "/var/tmp" },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed);

const total = { calls: 0, failed: 0, bytes: 0, rounds: 0, workers: 0 };
const wrong: unknown[] = [];
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  wrong.push(event.reason);
});

/** Runs rounds, and terminates Workers, until so many milliseconds after the start; at least one of each a slot. */
async function work(directory: string, until: number): Promise<void> {
  const isOver = () => wrong.length > 0 || performance.now() > until;
  const slot = async () => {
    do await runRound(directory, seed + total.rounds++, total); while (!isOver());
  };
  const killer = async () => {
    do {
      const number = seed + APART * ++total.workers;
      await terminateOne(directory, number, new Random(number));
    } while (!isOver());
  };
  const all = [
    ...Array.from({ length: SLOTS }, slot),
    ...Array.from({ length: KILLERS }, killer),
  ].map((each) => each.catch((error) => wrong.push(error)));
  await Promise.all(all);
}

/** Waits until nothing is in flight, and dropped objects are collected. */
function settle(): Promise<void> {
  return untilCollected(() => ioStats().inFlight + ioStats().poolBuffers === 0);
}

/** Counts resources until they are no more than `before`: the threads of Workers end a little later. */
async function compare(before: Holdings): Promise<Holdings> {
  for (let tried = 0;; tried++) {
    const after = takeStock();
    try {
      assertNoLeak(before, after, TOLERANCE);
      return after;
    } catch (error) {
      if (tried === 200) throw error;
    }
    await pause(100);
  }
}

async function stress(directory: string): Promise<void> {
  console.log(`Seed ${seed}: ${SLOTS} slots and ${KILLERS} for Workers, for ${seconds} s`);
  await work(directory, seconds * 1000 * WARM_UP);
  await settle();
  const before = takeStock();
  await work(directory, seconds * 1000);
  await settle();
  const after = await compare(before);
  console.log(
    `${total.rounds} rounds, ${total.calls} calls, ${total.failed} of them rejected, ` +
      `${Math.round(total.bytes / 2 ** 20)} MiB checked, ${total.workers} Workers terminated; ` +
      `descriptors ${before.descriptors}, then ${after.descriptors}; ` +
      `mappings ${before.mappings}, then ${after.mappings}`,
  );
}

if (import.meta.main) {
  const directory = await Deno.makeTempDir({ dir: values.directory, prefix: "stress-" });
  try {
    await stress(directory);
  } catch (error) {
    wrong.push(error);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  for (const each of wrong) console.error(each);
  console.log(`${wrong.length === 0 ? "Nothing" : "SOMETHING"} wrong on ${engineInfo().engine}`);
  Deno.exit(wrong.length === 0 ? 0 : 1);
}
