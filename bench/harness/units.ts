// Numbers as people read them, and back.

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const POWERS: Record<string, number> = { "": 1, k: KIB, m: MIB, g: GIB };

/** Bytes from text such as 512M, 1GiB or 4096. Throws for any other text. */
export function parseSize(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([kmg]?)(?:i?b)?$/i.exec(text.trim()) ?? [];
  if (digits === undefined) {
    throw new RangeError(
      `Invalid size ${text}: it must be a number with a unit, such as 512M or 1GiB`,
    );
  }
  return Math.round(Number(digits) * POWERS[unit!.toLowerCase()]!);
}

/** Bytes as 128 KiB or 1.5 GiB. */
export function showBytes(bytes: number): string {
  for (const [unit, power] of [["GiB", GIB], ["MiB", MIB], ["KiB", KIB]] as const) {
    if (bytes >= power) return `${showNumber(bytes / power)} ${unit}`;
  }
  return `${bytes} B`;
}

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
