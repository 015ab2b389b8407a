// The figures of the benchmark: medians and extremes, for programs and for the chart.
import type { EngineInfo } from "../mod.ts";
import type { Rounds, Sample, Samples } from "./bench_rounds.ts";
import type { Mount } from "./system_facts.ts";

/** The middle of some figures, and their extremes. */
export interface Spread {
  /** Half of them are below. */
  median: number;
  /** The least. */
  min: number;
  /** The greatest. */
  max: number;
}

/** One side in one discipline. */
export interface Measured {
  /** Bytes a second. */
  rate: Spread;
  /** CPU seconds of the process for a GiB, the median. */
  cpuPerGiB: number;
  /** The part of the bytes that came from the device, from 0 to 1; null if it is not known. */
  fromDisk: number | null;
}

/** Both sides in one discipline. */
export interface Comparison {
  /** This module. */
  dma: Measured;
  /** Deno's own way. */
  deno: Measured;
  /** How many times as fast this module was, in the same round. */
  ratio: Spread;
  /** In how many rounds this module was the faster one. */
  ahead: number;
}

/** Everything. Printed as it is by `--json`. */
export interface BenchReport {
  /** The directory, as it was given. */
  directory: string;
  /** The file system it is on. */
  mount: Mount | null;
  /** Whether files there were written with Direct I/O. */
  direct: boolean;
  /** The engine. */
  engine: EngineInfo["engine"];
  /** Bytes of each file. */
  size: number;
  /** Bytes of each chunk. */
  chunkSize: number;
  /** Rounds that were measured. */
  rounds: number;
  /** How long all took. */
  seconds: number;
  /** Writing until it is durable. */
  write: Comparison;
  /** Reading. */
  read: Comparison;
  /** Why the figures may mislead. */
  warnings: string[];
}

const GIB = 1024 ** 3;

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

/** How far the extremes are from each other, as a part of the median. */
export function noise({ median, min, max }: Spread): number {
  return (max - min) / median;
}
