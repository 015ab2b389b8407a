// A line on a terminal that is drawn again and again: the progress bar with position, rate and remaining time, or a text.
import { warn } from "./output.ts";
import { columns } from "./styling.ts";
import { formatDuration, formatRate, formatSize } from "./units.ts";

const REDRAW_MS = 100;
const MAX_COLUMNS = 100;
const MAX_BAR = 40;
/** If there is less room, only the figures are shown. */
const MIN_BAR = 5;

/** Shows one text after another in the same line of standard error, and clears it at the end. Without a terminal it shows nothing. */
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

/** Shows `position()` in a line of the terminal until disposed, and clears the line then. */
export function showProgress(total: number | undefined, position: () => number): Disposable {
  const began = performance.now();
  const line = new StatusLine();
  const draw = () =>
    line.show(progressLine({
      done: position(),
      total,
      seconds: (performance.now() - began) / 1000,
      columns: columns(MAX_COLUMNS),
    }));
  draw();
  const timer = setInterval(draw, REDRAW_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      line[Symbol.dispose]();
    },
  };
}

/** The state of a transfer, and the room to show it. */
export interface Progress {
  /** Bytes done. */
  done: number;
  /** Bytes expected; undefined if unknown. */
  total: number | undefined;
  /** Seconds since the start. */
  seconds: number;
  /** Columns of the terminal. */
  columns: number;
}

/** One line that fits the terminal. The bar takes the room that the figures leave, or is dropped. */
export function progressLine({ done, total, seconds, columns }: Progress): string {
  const rate = formatRate(done, seconds);
  // The last column is left free, because some terminals wrap after it.
  const room = columns - 1;
  if (total === undefined) return joined([formatSize(done), rate, formatDuration(seconds)], room);
  const part = total > 0 ? Math.min(1, done / total) : 1;
  const figures = [
    `${Math.floor(part * 100)}%`.padStart(4),
    `${formatSize(done)} of ${formatSize(total)}`,
    rate,
    ...(done > 0 ? [`${formatDuration(seconds * (1 - part) / part)} left`] : []),
  ];
  const cells = Math.min(MAX_BAR, room - 1 - joined(figures, Infinity).length);
  if (cells < MIN_BAR) return joined(figures, room).trimStart();
  const filled = Math.round(part * cells);
  return `${"#".repeat(filled)}${"-".repeat(cells - filled)} ${joined(figures, Infinity)}`;
}

/** As many figures as fit, and at least the first one. */
function joined(figures: string[], room: number): string {
  let shown = figures;
  while (shown.length > 1 && shown.join("  ").length > room) shown = shown.slice(0, -1);
  return shown.join("  ").slice(0, Math.max(0, room));
}
