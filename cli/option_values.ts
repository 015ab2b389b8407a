// Parses the values of options. Each error names the values that are possible.
import { InvalidArgumentError } from "npm:commander@14.0.3";
import { formatSize, parseSize } from "./units.ts";

const MAX_BUFFER_SIZE = 1024 ** 3;
const MIN_BENCH_SIZE = 1024 ** 2;
const MAX_BENCH_SIZE = 1024 ** 4;
const MAX_INTERVAL_MS = 3_600_000;
const UNIT_MS: Record<string, number> = { "": 1, ms: 1, s: 1000, m: 60_000 };

type Parse = (text: string) => number;

/** Parses sizes that are like the examples. */
function sizeLike(examples: string, least = 0, most = Infinity): Parse {
  return (text) => {
    const bytes = parseSize(text);
    if (bytes !== undefined && bytes >= least && bytes <= most) return bytes;
    throw new InvalidArgumentError(`It must be a size such as ${examples}`);
  };
}

function wholeNumber(most: number): Parse {
  return (text) => {
    const count = /^\d+$/.test(text) ? Number(text) : NaN;
    if (count >= 1 && count <= most) return count;
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}`);
  };
}

/** Bytes of one buffer. */
export const bufferSize: Parse = sizeLike(
  `65536, 512K or 1M, at most ${formatSize(MAX_BUFFER_SIZE)}`,
  0,
  MAX_BUFFER_SIZE,
);

/** The expected length, in bytes. */
export const size: Parse = sizeLike("500M, 10G or 2T");

/** Bytes of a file that a benchmark writes. */
export const benchSize: Parse = sizeLike(
  `256M or 2G, from ${formatSize(MIN_BENCH_SIZE)} to ${formatSize(MAX_BENCH_SIZE)}`,
  MIN_BENCH_SIZE,
  MAX_BENCH_SIZE,
);

/** Buffers in flight. */
export const writeBehind: Parse = wholeNumber(1024);

/** The duration of a benchmark. */
export const seconds: Parse = wholeNumber(3600);

/** Milliseconds from "1s", "500ms", "2m" or "0". */
export function interval(text: string): number {
  const [, count, unit = ""] = /^(\d+)(ms|s|m|)$/.exec(text) ?? [];
  const milliseconds = Number(count) * UNIT_MS[unit]!;
  if (!(milliseconds <= MAX_INTERVAL_MS) || (unit === "" && milliseconds > 0)) {
    throw new InvalidArgumentError(
      "It must be a time such as 500ms, 1s or 5m, at most 60m; 0: never",
    );
  }
  return milliseconds;
}

/** A path. */
export function pathName(text: string): string {
  if (text === "") throw new InvalidArgumentError("It must not be empty");
  // Bytes that are not UTF-8 arrive as U+FFFD, which would name another file.
  if (text.includes("\ufffd")) {
    throw new InvalidArgumentError("It must be UTF-8: name the file by a symbolic link");
  }
  return text;
}

/** The name of an installed command. */
export function commandName(text: string): string {
  if (!/^[A-Za-z_][\w-]*$/.test(text)) {
    throw new InvalidArgumentError("It must be letters, digits, _ and -");
  }
  return text;
}
