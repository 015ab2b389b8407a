// Hundreds of writers and readers that open, write, abort, drop and close at once, here and in several Workers, for
// as long as it is told to: memory, descriptors and mappings must stay flat, and every byte right.
//
//   deno task soak [--seconds 60] [--workers 3] [--actors 64] [--directory PATH] [--seed N]

import { takeStock } from "./support/leaks.ts";
import { Actors, type Done } from "./soak/actors.ts";
import type { Order } from "./soak/worker.ts";
import { engineInfo } from "../mod.ts";

const MiB = 1 << 20;
/** The time is divided into parts, and after each part everybody comes to an end: what is left then is compared. */
const PARTS = 4;
/** Megabytes that memory may grow by from the second part to the last. */
const MOST_GROWTH = 64;

function option(name: string, or: string): string {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? or : Deno.args[at + 1] ?? or;
}

/** The actors of an isolate, as seen from here. */
interface Group {
  begin(): Promise<void>;
  end(): Promise<void>;
  tell(): Promise<Done>;
}

function here(directory: string, count: number, seed: number): Group {
  const actors = new Actors(directory, count, seed);
  return {
    begin: () => Promise.resolve(actors.begin()),
    end: () => actors.end(),
    tell: () => Promise.resolve(actors.done),
  };
}

async function inWorker(directory: string, count: number, seed: number): Promise<Group> {
  const worker = new Worker(new URL("soak/worker.ts", import.meta.url), { type: "module" });
  const ask = (message: Order) =>
    new Promise<Done>((resolve, reject) => {
      const listener = ({ data }: MessageEvent) => {
        if (data.order !== message.order) return;
        worker.removeEventListener("message", listener);
        if (data.wrong) reject(new Error(data.wrong));
        else resolve(data.done);
      };
      worker.addEventListener("message", listener);
      worker.postMessage(message);
    });
  await ask({ order: "make", directory, count, seed });
  return {
    begin: async () => void await ask({ order: "begin" }),
    end: async () => void await ask({ order: "end" }),
    tell: () => ask({ order: "tell" }),
  };
}

/** What is held when nothing is going on. */
interface Held {
  descriptors: number;
  mappings: number;
  resident: number;
}

async function soak(directory: string): Promise<string[]> {
  const seconds = Number(option("seconds", "60"));
  const count = Number(option("actors", "64"));
  const seed = Number(option("seed", String(Math.floor(Math.random() * 1e6))));
  const groups = [here(directory, count, seed)];
  for (let index = 1; index <= Number(option("workers", "3")); index++) {
    groups.push(await inWorker(directory, count, seed + index));
  }
  console.log(
    `Seed ${seed}: ${count} actors in each of ${groups.length} isolates, for ${seconds} s`,
  );
  const began = performance.now();
  const line = async (state: string): Promise<Held> => {
    const { descriptors, mappings, resident } = takeStock();
    const all = await Promise.all(groups.map((group) => group.tell()));
    const sum = (name: keyof Done) => all.reduce((sum, done) => sum + done[name], 0);
    console.log(
      `${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${state}  ` +
        `${sum("files")} files, ${Math.round(sum("bytes") / MiB)} MiB, ${
          sum("aborted")
        } aborted, ` +
        `${sum("dropped")} dropped; ${descriptors} descriptors, ${mappings} mappings, ` +
        `${Math.round(resident / MiB)} MiB resident`,
    );
    return { descriptors, mappings, resident };
  };
  const rests: Held[] = [];
  for (let part = 1; part <= PARTS; part++) {
    await Promise.all(groups.map((group) => group.begin()));
    while ((performance.now() - began) / 1000 < seconds * part / PARTS) {
      const left = seconds * part / PARTS - (performance.now() - began) / 1000;
      await new Promise((resolve) => setTimeout(resolve, Math.min(5, left) * 1000));
      await line("at work");
    }
    await Promise.all(groups.map((group) => group.end()));
    rests.push(await line("at rest"));
  }
  return growth(rests);
}

/** What grew from the second rest on: much is made once, in the first part, and kept. */
function growth(rests: readonly Held[]): string[] {
  const [, first, ...rest] = rests;
  const last = rest.at(-1);
  if (!first || !last) return ["There were too few parts to compare"];
  const wrong: string[] = [];
  if (last.descriptors > first.descriptors) {
    wrong.push(`descriptors grew from ${first.descriptors} to ${last.descriptors}`);
  }
  if (last.mappings > first.mappings + 200) {
    wrong.push(`mappings grew from ${first.mappings} to ${last.mappings}`);
  }
  if (last.resident > first.resident + MOST_GROWTH * MiB) {
    wrong.push(`memory grew from ${first.resident} to ${last.resident} bytes`);
  }
  return wrong;
}

if (import.meta.main) {
  const parent = option("directory", Deno.env.get("TMPDIR") ?? "/var/tmp");
  const directory = await Deno.makeTempDir({ dir: parent, prefix: "soak-" });
  let wrong: string[];
  try {
    wrong = await soak(directory);
  } catch (error) {
    wrong = [String((error as Error).stack ?? error)];
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  for (const each of wrong) console.error(each);
  console.log(`${wrong.length === 0 ? "Flat" : "NOT FLAT"} on ${engineInfo().engine}`);
  Deno.exit(wrong.length === 0 ? 0 : 1);
}
