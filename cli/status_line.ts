// A status line on a terminal, which is cleared at the end. Without a terminal it shows nothing.
import { warn } from "./output.ts";
import { columns } from "./styling.ts";

/** Shows one text after another in the same line of standard error. */
export class StatusLine implements Disposable {
  readonly #on = Deno.stderr.isTerminal();

  /** Replaces the text. */
  show(text: string): void {
    // A wrapped line could not be cleared.
    if (this.#on) warn(`\r\x1b[K${text.slice(0, columns(200) - 1)}`);
  }

  /** Clears the line. */
  [Symbol.dispose](): void {
    if (this.#on) warn("\r\x1b[K");
  }
}
