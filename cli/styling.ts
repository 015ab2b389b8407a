// Bold and colours for terminals. Deno itself knows NO_COLOR, so that no permission for the environment is asked for.
import { styleText } from "node:util";

/** How a piece of text can look. */
export type Style = "bold" | "red" | "green" | "yellow" | "cyan";

/** Text with the escape sequences of a style around it. */
export function styled(text: string, style: Style): string {
  // Whether the stream takes colours is decided by hasColors: node's own check reads the environment.
  return styleText(style, text, { validateStream: false });
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
