// The figures of the benchmark, for JSON and for the chart.
import type { DmaFile } from "../mod.ts";
import type { Rounds, Sample, Samples } from "./bench_rounds.ts";
import type { Mount } from "./system_facts.ts";

/** Median and extremes of some figures. */
export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** One side in one discipline. */
export interface Measured {
  /** Bytes a second. */
  rate: Spread;
  /** CPU seconds of the process for each GiB, the median. */
  cpuPerGiB: number;
  /** The part of the bytes that came from the device, from 0 to 1; null if it is unknown. */
  fromDisk: number | null;
}

/** Both sides in one discipline. */
export interface Comparison {
  /** This module. */
  dma: Measured;
  /** Deno's own streams. */
  deno: Measured;
  /** The rate of this module divided by that of Deno in the same round. */
  ratio: Spread;
  /** The number of rounds in which this module was faster. */
  ahead: number;
}

/** The whole report, in the form that `--json` prints. */
export interface BenchReport {
  /** The directory, as it was given. */
  directory: string;
  mount: Mount | null;
  /** Whether files in it were written with Direct I/O. */
  direct: boolean;
  engine: DmaFile["engine"];
  /** Bytes of each file. */
  size: number;
  /** Bytes of each chunk. */
  chunkSize: number;
  /** Rounds that were measured. */
  rounds: number;
  /** The duration of the whole benchmark. */
  seconds: number;
  /** Writing a durable file. */
  write: Comparison;
  read: Comparison;
  /** Reasons why the figures may mislead. */
  warnings: string[];
}

const GIB = 1024 ** 3;
/** A file is cold if at least this part of it came from the device. */
export const COLD = 0.95;

/** Compares the sides in one discipline. */
export function compare({ size, samples }: Rounds, discipline: keyof Samples): Comparison {
  const { dma, deno } = samples[discipline];
  const ratios = dma.map(({ rate }, round) => rate / deno[round]!.rate);
  return {
    dma: measured(dma, size),
    deno: measured(deno, size),
    ratio: spread(ratios),
    ahead: ratios.filter((ratio) => ratio > 1).length,
  };
}

function measured(samples: Sample[], size: number): Measured {
  const shares = samples.map(({ fromDisk }) => fromDisk).filter((bytes) => bytes !== undefined);
  return {
    rate: spread(samples.map(({ rate }) => rate)),
    cpuPerGiB: spread(samples.map(({ cpu }) => cpu)).median * GIB / size,
    fromDisk: shares.length === 0 ? null : spread(shares).median / size,
  };
}

/** Median and extremes of at least one figure. */
export function spread(figures: number[]): Spread {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle]!;
  return {
    median: sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2,
    min: sorted[0]!,
    max: sorted.at(-1)!,
  };
}

/** The distance between the extremes, as a part of the median. */
export function noise({ median, min, max }: Spread): number {
  return (max - min) / median;
}
