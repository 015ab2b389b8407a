// fio with io_uring and Direct I/O: the rate of the device for a program without a runtime.

import type { Contestant, Outcome, Run } from "../harness/contestant.ts";

/** A size in the form that fio takes. */
export interface FioGeometry {
  readonly blockSize: string;
  readonly depth: number;
  /** Writing: whether the file is allocated before the first write. The allocation is not timed. */
  readonly allocated?: boolean;
  /** Registered buffers and files. */
  readonly registered?: boolean;
}

function command(run: Run, job: "write" | "read", geometry: FioGeometry): string[] | undefined {
  const { fio } = run.tools;
  if (!fio) return undefined;
  const { blockSize, depth, allocated = false, registered = false } = geometry;
  return [
    fio,
    `--name=${job}`,
    `--filename=${job === "write" ? run.path : run.source}`,
    `--rw=${job}`,
    `--size=${run.size}`,
    "--ioengine=io_uring",
    "--direct=1",
    `--bs=${blockSize}`,
    `--iodepth=${depth}`,
    ...(job === "write" ? [`--fallocate=${allocated ? "posix" : "none"}`, "--end_fsync=1"] : []),
    // By default fio would drop the file from the page cache itself, or refuse to run beside it.
    "--invalidate=0",
    ...(registered ? ["--fixedbufs=1", "--registerfiles=1"] : []),
    "--output-format=json",
  ];
}

interface FioReport {
  jobs: [Record<"write" | "read", { io_bytes: number; total_ios: number; runtime: number }>];
}

/** The time by fio's own clock: with the sync at the end, without fio's start and the allocation. */
function outcome(stdout: string, job: "write" | "read"): Outcome {
  const report: FioReport = JSON.parse(stdout.slice(stdout.indexOf("{")));
  const { io_bytes: bytes, total_ios: count, runtime } = report.jobs[0][job];
  return { bytes, count, seconds: runtime / 1000 };
}

function settings(job: "write" | "read", geometry: FioGeometry): string {
  const { blockSize, depth, allocated, registered } = geometry;
  return [
    `${blockSize} × ${depth}`,
    job === "write" && (allocated ? "allocated first (not timed)" : "extending"),
    registered && "fixedbufs, registerfiles",
  ].filter(Boolean).join(", ");
}

const LABELS = {
  write: "fio io_uring direct=1 end_fsync=1",
  read: "fio io_uring direct=1",
} as const;

/** fio at one geometry. */
export function fio(id: string, job: "write" | "read", geometry: FioGeometry): Contestant {
  return {
    id,
    group: job,
    label: LABELS[job],
    settings: settings(job, geometry),
    command: (run) => command(run, job, geometry),
    outcome: (stdout) => outcome(stdout, job),
  };
}

/** fio at random positions of the source, with further options of fio. */
export function fioRandom(
  job: "write" | "read",
  options: Readonly<Record<string, string | number>>,
): Pick<Contestant, "command" | "outcome"> {
  return {
    command({ tools, source, size }) {
      if (!tools.fio) return undefined;
      return [
        tools.fio,
        "--name=random",
        `--filename=${source}`,
        `--rw=rand${job}`,
        `--size=${size}`,
        "--ioengine=io_uring",
        "--direct=1",
        "--norandommap",
        "--invalidate=0",
        ...Object.entries(options).map(([name, value]) => `--${name}=${value}`),
        "--output-format=json",
      ];
    },
    outcome: (stdout) => outcome(stdout, job),
  };
}

/** fio at the best of several geometries. */
export function fioAtBest(id: string, job: "write" | "read"): Contestant {
  const variants: Contestant[] = [];
  for (
    const [blockSize, depth] of [["256k", 8], ["512k", 8], ["1m", 4], ["1m", 8], ["2m", 4], [
      "4m",
      4,
    ]] as const
  ) {
    for (const registered of [false, true]) {
      const geometry = { blockSize, depth, registered, allocated: true };
      variants.push({ ...fio(id, job, geometry), label: `${LABELS[job]}, at its best` });
    }
  }
  return { ...variants[0]!, variants };
}
