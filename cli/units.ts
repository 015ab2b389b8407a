// Sizes as people type and read them, in powers of 1024.

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const SIZE = /^(\d+)([KMG]?)(?:i?B)?$/i;
const FACTORS: Record<string, number> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/** Bytes from "4096", "512K", "1M", "1MiB" or "1GB"; `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  const [, digits, unit = ""] = SIZE.exec(text.trim()) ?? [];
  const bytes = Number(digits) * (FACTORS[unit.toUpperCase()] ?? NaN);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A count of bytes in the largest unit that leaves at least one, as "1.5 GiB". */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${bytes === 1 ? "byte" : UNITS[unit]}`;
}

/** MiB a second, with one decimal; 0.0 where no time passed. */
export function formatRate(bytes: number, seconds: number): string {
  return `${(seconds > 0 ? bytes / 1024 ** 2 / seconds : 0).toFixed(1)} MiB/s`;
}

/** Seconds as "5 s", "1:05" or "1:02:03". */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (count: number) => String(count).padStart(2, "0");
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}
