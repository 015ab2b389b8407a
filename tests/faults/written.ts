// The files of programs/write_on.ts, for the program itself and for its checks.

import { Random } from "../simulator/random.ts";

export type Kind = "new" | "exact" | "atomic" | "log" | "append" | "end";

/** The kinds without an end. */
export const kinds: readonly Kind[] = ["new", "exact", "atomic", "log", "append"];

/** The kinds with one file that grows from process to process. */
export function isLog(kind: Kind): boolean {
  return kind === "log" || kind === "append";
}

/** The length of a file. Most are small, so that kills also meet opening and closing. */
export function generationLength(generation: number, seed: number): number {
  const random = new Random(generation * 1000 + seed + 1);
  return random.below(random.chance(0.3) ? 12_000_000 : 500_000);
}

export function pathOf(kind: Kind, folder: string, generation: number): string {
  const isOnePath = isLog(kind) || kind === "atomic";
  return `${folder}/${isOnePath ? "file" : `file-${generation}`}`;
}

/**
 * The ways to write one file, for programs/write_once.ts: the length before, and the promised length. Only that of
 * "sync of a file" is aligned.
 */
export const lengths = {
  close: { before: 0, after: 60_001 },
  appear: { before: 0, after: 60_001 },
  replace: { before: 45_000, after: 60_001 },
  append: { before: 45_000, after: 60_001 },
  "true append": { before: 45_000, after: 60_001 },
  seal: { before: 0, after: 60_001 },
  sync: { before: 0, after: 60_001 },
  "sync of a log": { before: 45_000, after: 60_001 },
  "later sync of a log": { before: 45_000, after: 60_001 },
  "sync of a true append": { before: 45_000, after: 60_001 },
  "sync of a file": { before: 0, after: 61_440 },
  end: { before: 0, after: 60_001 },
} as const;

export type Once = keyof typeof lengths;
