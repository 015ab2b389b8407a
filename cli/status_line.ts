// A status line on a terminal, which is cleared afterwards. Without a terminal nothing is shown.
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
