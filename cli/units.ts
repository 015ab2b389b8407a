// Sizes and durations as people type and read them. Units are powers of 1024.

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const SIZE = /^(\d+)([KMGT]?)(?:i?B)?$/i;

/** Bytes from "4096", "512K", "1M", "1MiB" or "1GB"; `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  const [, digits, unit = ""] = SIZE.exec(text.trim()) ?? [];
  const bytes = Number(digits) * 1024 ** " KMGT".indexOf(unit.toUpperCase() || " ");
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A count of bytes in the largest unit of which there is at least one, for example "1.5 GiB". */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // A value that rounds to 1024.0 is shown as one of the next unit.
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${bytes === 1 ? "byte" : UNITS[unit]}`;
}

/** An exact count of bytes; from 1 KiB on also in the form of {@linkcode formatSize}. */
export function formatCount(bytes: number): string {
  const exact = `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  return bytes < 1024 ? exact : `${exact} (${formatSize(bytes)})`;
}

/** Bytes a second in a suitable unit, such as "1.2 GiB/s"; 0 if no time passed. */
export function formatRate(bytes: number, seconds: number): string {
  const rate = seconds > 0 ? bytes / seconds : 0;
  return `${formatSize(rate < 1024 ? Math.round(rate) : rate)}/s`;
}

/** Time and rate. The rate is left out below a second and a mebibyte, because it would measure the latency. */
export function formatPace(bytes: number, seconds: number): string {
  const time = seconds < 1
    ? `${Math.max(1, Math.round(seconds * 1000))} ms`
    : seconds < 60
    ? `${seconds.toFixed(2)} s`
    : formatDuration(seconds);
  return seconds < 1 && bytes < 1024 ** 2 ? time : `${time}, ${formatRate(bytes, seconds)}`;
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
