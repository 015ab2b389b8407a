// One line on a terminal that says what is going on, and is gone afterwards. Nothing where there is no terminal.
import { warn } from "./output.ts";
import { columns } from "./styling.ts";

/** Shows one text after another in the same line of standard error. */
export class StatusLine implements Disposable {
  readonly #on = Deno.stderr.isTerminal();

  /** Replaces the text. */
  show(text: string): void {
    // A line that wraps could not be cleared.
    if (this.#on) warn(`\r\x1b[K${text.slice(0, columns(200) - 1)}`);
  }

  /** Clears the line. */
  [Symbol.dispose](): void {
    if (this.#on) warn("\r\x1b[K");
  }
}
