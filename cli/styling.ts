// Bold and colours for terminals. Deno itself knows NO_COLOR, so that no permission for the environment is asked for.

/** How a piece of text can look. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const CODES: Record<Style, [on: number, off: number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Text with the escape sequences of a style around it. */
export function styled(text: string, style: Style): string {
  const [on, off] = CODES[style];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}

/** Whether what is written there may be styled. */
export function hasColors(to: { isTerminal(): boolean }): boolean {
  return !Deno.noColor && to.isTerminal();
}

/** Styles text for standard output, where that is a terminal that wants it. */
export function forOutput(text: string, style: Style): string {
  return hasColors(Deno.stdout) ? styled(text, style) : text;
}

/** Columns of the terminal, no more than `most`; 80 where there is none. */
export function columns(most: number): number {
  try {
    // Where a terminal does not know its size it says 0.
    return Math.min(Deno.consoleSize().columns || 80, most);
  } catch {
    return Math.min(80, most);
  }
}
