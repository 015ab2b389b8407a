// The options of the benchmarks.

import { parseArgs } from "node:util";
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
  /** All directories that were given, if a benchmark takes several. */
  readonly directories: readonly string[];
  /** Seconds to wait, before each run, until the machine is idle. */
  readonly patience: number;
  /** Whether to make a disk faster than the CPU. */
  readonly fast: boolean;
  /** The name of the result files. */
  readonly name: string;
}

const USAGE = `Options:
  --size=1GiB       bytes of the file (for the defaults: 512MiB)
  --most=64GiB      bytes of the largest file, if files grow
  --rounds=N        times that each contestant runs (default: 5; for defaults and scale: 3)
  --only=write,...  groups or contestants, by the beginning of their names
  --dir=/var/tmp    directory of the files: its disk is measured (for the defaults: several)
  --fast            use a disk in memory that is faster than the CPU (as root)
  --patience=5      seconds to wait, before each run, until the machine is idle
  --name=DATE       name of the result files`;

/** Parses the command line. If it is wrong, prints the usage and ends the process. */
export function parseOptions(
  args: readonly string[],
  { rounds = 5, size = "1GiB", suffix = "" }: { rounds?: number; size?: string; suffix?: string } =
    {},
): BenchOptions {
  const refuse = (reason: string) => {
    console.error(`${reason}\n\n${USAGE}`);
    Deno.exit(2);
  };
  const text = (otherwise: string) => ({ type: "string", default: otherwise }) as const;
  const options = {
    size: text(size),
    most: text("64GiB"),
    rounds: text(`${rounds}`),
    only: text(""),
    dir: text(""),
    patience: text("5"),
    fast: { type: "boolean", default: false },
    name: text(""),
  } as const;
  let values;
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    return refuse((error as Error).message);
  }
  const { dir, fast, only, name } = values;
  /** Ends the process if the value is wrong, which is `undefined` or NaN. */
  const checked = (name: "size" | "most" | "rounds" | "patience", value: number | undefined) =>
    value! >= (name === "rounds" ? 1 : 0) ? value! : refuse(`Invalid --${name} ${values[name]}`);
  const count = Number(values.rounds);
  return {
    size: checked("size", parseSize(values.size)),
    most: checked("most", parseSize(values.most)),
    rounds: checked("rounds", Number.isInteger(count) ? count : NaN),
    only: only.split(",").filter(Boolean),
    // TMPDIR may be on tmpfs, where no disk would be measured.
    directory: dir || "/var/tmp",
    directories: dir.split(",").filter(Boolean),
    patience: checked("patience", Number(values.patience)),
    fast,
    name: name || `${new Date().toISOString().slice(0, 10)}${suffix}${fast ? "-fast" : ""}`,
  };
}
