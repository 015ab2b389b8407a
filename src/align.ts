// Multiples of a block size or of an alignment.

export function alignDown(value: number, unit: number): number {
  return value - value % unit;
}

export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
