// The options of the benchmarks.

import { parseSize } from "../../cli/units.ts";

/** The options of the benchmarks that run whole processes. */
export interface BenchOptions {
  /** Bytes of the file. */
  readonly size: number;
  /** Bytes of the largest file, if files grow. */
  readonly most: number;
  /** Times that each contestant runs. */
  readonly rounds: number;
  /** Groups or contestants to run, by the beginning of their names; empty: all. */
  readonly only: readonly string[];
  /** The directory of the files. Its disk is measured. */
  readonly directory: string;
  /** Seconds to wait, before each run, until the machine is idle. */
  readonly patience: number;
  /** Whether to make a disk faster than the CPU. */
  readonly fast: boolean;
  /** The name of the result files. */
  readonly name: string;
}

const USAGE = `Options:
  --size=1GiB       bytes of the file
  --most=64GiB      bytes of the largest file, if files grow
  --rounds=N        times that each contestant runs (default: 5; with growing scale: 3)
  --only=write,...  groups or contestants, by the beginning of their names
  --dir=/var/tmp    directory of the files: its disk is measured
  --fast            use a disk in memory that is faster than the CPU (as root)
  --patience=5      seconds to wait, before each run, until the machine is idle
  --name=DATE       name of the result files`;

/** Parses the command line. If it is wrong, prints the usage and ends the process. */
export function parseOptions(
  args: readonly string[],
  defaults: { rounds?: number; suffix?: string } = {},
): BenchOptions {
  const given = new Map<string, string>();
  let fast = false;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--fast") {
      fast = true;
      continue;
    }
    const [, name, value] = /^--([a-z]+)(?:=(.*))?$/.exec(args[i]!) ?? [];
    if (!name || !["size", "most", "rounds", "only", "dir", "patience", "name"].includes(name)) {
      console.error(`Unknown argument ${args[i]}\n\n${USAGE}`);
      Deno.exit(2);
    }
    given.set(name, value ?? args[++i] ?? "");
  }
  /** The value of an option. If it is wrong, which is `undefined` or NaN, ends the process. */
  const numberOf = (
    name: string,
    otherwise: string,
    parse: (text: string) => number | undefined,
    wanted: string,
  ): number => {
    const text = given.get(name) ?? otherwise;
    const value = parse(text) ?? NaN;
    if (value >= 0) return value;
    console.error(`Invalid --${name} ${text}: it must be ${wanted}`);
    Deno.exit(2);
  };
  const rounds = (text: string) => /^[1-9]\d*$/.test(text) ? Number(text) : undefined;
  const aSize = "a size such as 512M or 1GiB";
  return {
    size: numberOf("size", "1GiB", parseSize, aSize),
    most: numberOf("most", "64GiB", parseSize, aSize),
    rounds: numberOf("rounds", `${defaults.rounds ?? 5}`, rounds, "an integer of 1 or more"),
    only: given.get("only")?.split(",").filter(Boolean) ?? [],
    // TMPDIR may be on tmpfs, where no disk would be measured.
    directory: given.get("dir") ?? "/var/tmp",
    patience: numberOf("patience", "5", Number, "a number of seconds"),
    fast,
    name: given.get("name") ?? new Date().toISOString().slice(0, 10) + (defaults.suffix ?? "") +
        (fast ? "-fast" : ""),
  };
}
