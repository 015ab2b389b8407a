// Bold and colours for terminals. Deno.noColor reflects NO_COLOR without a permission for the environment.
import { styleText } from "node:util";

export type Style = "bold" | "red" | "green" | "yellow" | "cyan";

/** Text with the escape sequences of a style around it. */
export function styled(text: string, style: Style): string {
  // hasColors decides whether the stream takes colours: Node's own check reads the environment.
  return styleText(style, text, { validateStream: false });
}

/** Whether output to `to` may be styled. */
export function hasColors(to: { isTerminal(): boolean }): boolean {
  return !Deno.noColor && to.isTerminal();
}

/** Styles text for standard output, if that is a terminal with colours. */
export function forOutput(text: string, style: Style): string {
  return hasColors(Deno.stdout) ? styled(text, style) : text;
}

/** Columns of the terminal, at most `most`; 80 without a terminal. */
export function columns(most: number): number {
  try {
    // A terminal of unknown size reports 0.
    return Math.min(Deno.consoleSize().columns || 80, most);
  } catch {
    return Math.min(80, most);
  }
}
