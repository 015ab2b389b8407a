// Numbers as people read them.

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

/** A number with its significant digits: 2,345, 12.3, 1.23, 0.012. */
export function showNumber(value: number): string {
  const size = Math.abs(value);
  const maximumFractionDigits = Number.isInteger(value) || size >= 100
    ? 0
    : size >= 10
    ? 1
    : size >= 0.1
    ? 2
    : 3;
  return value.toLocaleString("en-US", { maximumFractionDigits });
}
