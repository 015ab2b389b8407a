// A program that tests the promises on a directory, one after the other, and prints the broken ones as JSON.
//
//   deno run -A tests/mounts/keep_promises.ts DIRECTORY [--rates] [--small=DIRECTORY] [--second=DIRECTORY]
//
// The small directory has no more room than the disks of servers.ts, and the second one is the same directory through
// another client.

import { DmaFile, engineInfo } from "../../mod.ts";
import { run, within } from "../setup/command.ts";
import { clientPromises } from "./client_promises.ts";
import { filePromises, fillDisk, streamPromises } from "./promises.ts";
import { ROOM } from "./servers.ts";

export interface Outcome {
  readonly engine: string;
  /** Whether O_DIRECT could be set. */
  readonly direct: boolean;
  readonly kept: number;
  /** The failures by promise. */
  readonly broken: Readonly<Record<string, string>>;
  /** MiB/s of a file that is written and synced: medians of alternating rounds. */
  readonly rates?: Readonly<Record<string, number>>;
}

const LONGEST_SECONDS = 60;
const RATE_BYTES = 128 << 20;
const ROUNDS = 5;

/** The directories to test. */
interface Directories {
  readonly own: string;
  readonly small: string | undefined;
  /** The same directory as `own`. */
  readonly second: string | undefined;
}

/** All checks, by promise. */
function allChecks(
  { own, small, second }: Directories,
): [name: string, check: () => Promise<void>][] {
  const checks: [string, () => Promise<void>][] = [];
  for (const [name, check] of Object.entries({ ...streamPromises, ...filePromises })) {
    const directory = `${own}/${checks.length}`;
    checks.push([name, () => Deno.mkdir(directory).then(() => check(directory))]);
  }
  if (second) {
    for (const [name, check] of Object.entries(clientPromises)) {
      checks.push([name, () => check(own, second)]);
    }
  }
  if (small) {
    const room = ROOM + (2 << 20);
    const told = { codes: ["ENOSPC", "EDQUOT"], flushes: true };
    checks.push(["a full disk is told", () => fillDisk(small, room, told)]);
    // The page cache accepts bytes for which the server has no room.
    const late = { ...told, flushes: false, direct: "off" } as const;
    checks.push([
      "a full disk is told by way of the page cache",
      () => fillDisk(small, room, late),
    ]);
  }
  return checks;
}

async function tryAll(
  directories: Directories,
): Promise<{ kept: number; broken: Record<string, string> }> {
  const broken: Record<string, string> = {};
  const checks = allChecks(directories);
  for (const [name, check] of checks) {
    try {
      await within(LONGEST_SECONDS, "The check", check());
    } catch (error) {
      broken[name] = error instanceof Error
        ? error.message.split("\n").slice(0, 12).join(" ")
        : String(error);
    }
  }
  return { kept: checks.length - Object.keys(broken).length, broken };
}

function source(): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunk = crypto.getRandomValues(new Uint8Array(1 << 16));
  let left = RATE_BYTES / chunk.length;
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(chunk);
      else controller.close();
    },
  });
}

/** The ways to write and sync a file. */
const ways: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  "DmaFile": async (path) => {
    const file = await DmaFile.create(path);
    await source().pipeTo(file.writable);
  },
  "FsFile": async (path) => {
    using file = await Deno.open(path, { create: true, write: true, truncate: true });
    await source().pipeTo(file.writable, { preventClose: true });
    await file.sync();
  },
  "dd conv=fsync": (path) =>
    run("dd", ["if=/dev/zero", `of=${path}`, "bs=1M", `count=${RATE_BYTES >> 20}`, "conv=fsync"]),
};

async function measure(directory: string): Promise<Record<string, number>> {
  const times = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, write] of Object.entries(ways)) {
      const path = `${directory}/rate`;
      const started = performance.now();
      await write(path);
      times.get(name)!.push(performance.now() - started);
      await Deno.remove(path);
    }
  }
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
  const rate = (values: number[]) => Math.round((RATE_BYTES >> 20) / median(values) * 1000);
  return Object.fromEntries([...times].map(([name, values]) => [name, rate(values)]));
}

if (import.meta.main) {
  const [directory = ".", ...flags] = Deno.args;
  const own = await Deno.makeTempDir({ dir: directory, prefix: "promises-" });
  const probe = await DmaFile.create(`${own}/direct`);
  const { direct } = probe;
  await probe.close();
  const given = (name: string) =>
    flags.find((flag) => flag.startsWith(`--${name}=`))?.slice(name.length + 3);
  const second = given("second");
  const tried = await tryAll({
    own,
    small: given("small"),
    second: second && `${second}/${own.slice(directory.length + 1)}`,
  });
  const rates = flags.includes("--rates") ? { rates: await measure(own) } : {};
  const outcome: Outcome = { engine: engineInfo().engine!, direct, ...tried, ...rates };
  console.log(JSON.stringify(outcome));
  await Deno.remove(own, { recursive: true }).catch(() => {});
  // Calls that hang on a server are not awaited.
  Deno.exit(0);
}
