// fio with io_uring and Direct I/O: the rate of the device for a program without a runtime.

import type { Contestant } from "../harness/contestant.ts";

type Job = "write" | "read";

/** A size in the form that fio takes. */
export interface FioGeometry {
  readonly blockSize: string;
  readonly depth: number;
  /** Writing: whether the file is allocated before the first write. The allocation is not timed. */
  readonly allocated?: boolean;
  /** Registered buffers and files. */
  readonly registered?: boolean;
}

interface FioReport {
  jobs: [Record<Job, { io_bytes: number; total_ios: number; runtime: number }>];
}

/** fio with options of its own beside those that all runs have. */
function running(
  job: Job,
  { name, rw, file }: { name: string; rw: string; file: "path" | "source" },
  options: readonly string[],
): Pick<Contestant, "command" | "outcome"> {
  return {
    command(run) {
      if (!run.tools.fio) return undefined;
      const work = [
        `--name=${name}`,
        `--filename=${run[file]}`,
        `--rw=${rw}`,
        `--size=${run.size}`,
      ];
      // By default fio would drop the file from the page cache itself, or refuse to run beside it.
      const past = ["--ioengine=io_uring", "--direct=1", "--invalidate=0"];
      return [run.tools.fio, ...work, ...past, ...options, "--output-format=json"];
    },
    // The time by fio's own clock: with the sync at the end, without fio's start and the allocation.
    outcome(stdout) {
      const report: FioReport = JSON.parse(stdout.slice(stdout.indexOf("{")));
      const { io_bytes: bytes, total_ios: count, runtime } = report.jobs[0][job];
      return { bytes, count, seconds: runtime / 1000 };
    },
  };
}

/** fio at one geometry. */
export function fio(id: string, job: Job, geometry: FioGeometry, best = ""): Contestant {
  const { blockSize, depth, allocated = false, registered = false } = geometry;
  const writes = job === "write";
  const options = [`--bs=${blockSize}`, `--iodepth=${depth}`];
  if (writes) options.push(`--fallocate=${allocated ? "posix" : "none"}`, "--end_fsync=1");
  if (registered) options.push("--fixedbufs=1", "--registerfiles=1");
  return {
    id,
    group: job,
    label: `fio io_uring direct=1${writes ? " end_fsync=1" : ""}${best}`,
    settings: [
      `${blockSize} × ${depth}`,
      writes && (allocated ? "allocated first (not timed)" : "extending"),
      registered && "fixedbufs, registerfiles",
    ].filter(Boolean).join(", "),
    ...running(job, { name: job, rw: job, file: writes ? "path" : "source" }, options),
  };
}

/** fio at random positions of the source, with further options of fio. */
export function fioRandom(
  job: Job,
  options: Readonly<Record<string, string | number>>,
): Pick<Contestant, "command" | "outcome"> {
  const more = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const work = { name: "random", rw: `rand${job}`, file: "source" } as const;
  return running(job, work, ["--norandommap", ...more]);
}

/** fio at the best of several geometries. */
export function fioAtBest(id: string, job: Job): Contestant {
  const sizes = [["256k", 8], ["512k", 8], ["1m", 4], ["1m", 8], ["2m", 4], ["4m", 4]] as const;
  const variants = sizes.flatMap(([blockSize, depth]) =>
    [false, true].map((registered) =>
      fio(id, job, { blockSize, depth, registered, allocated: true }, ", at its best")
    )
  );
  return { ...variants[0]!, variants };
}
