// Parts of a report in Markdown.

import type { MachineFacts } from "./machine.ts";

/** A table, whose first columns are text. */
export function markdownTable(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  texts = 1,
): string {
  const rules = heads.map((_, index) => index < texts ? "---" : "--:");
  return [heads, rules, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The machine, a line for each fact. */
export function factLines(machine: MachineFacts): string[] {
  return Object.entries(machine).map(([name, value]) => `- ${name}: ${value}`);
}
