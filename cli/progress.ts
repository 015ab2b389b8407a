// The progress bar of a terminal. Its library is loaded only here, when there is a terminal to draw on.
import { columns } from "./styling.ts";
import { formatDuration, formatRate, formatSize } from "./units.ts";

const REDRAW_MS = 100;
const MOST_COLUMNS = 100;
const MOST_BAR = 40;
/** A shorter bar says less than the figures alone. */
const LEAST_BAR = 5;
const CURSOR_SAVE = "\x1b7";
const CURSOR_RESTORE = "\x1b8";
const encoder = new TextEncoder();

// Standard error as the bar wants it. Not node's: that one turns a terminal that was closed into an uncaught exception, and
// the process would end before the file is cut to what is whole.
const terminal = {
  isTTY: true,
  get columns(): number {
    return columns(Infinity);
  },
  write(text: string): boolean {
    // The saved place is one of the screen: when others wrote meanwhile, as tar -v does, their line stands there.
    if (text === CURSOR_SAVE || text === CURSOR_RESTORE) return true;
    try {
      Deno.stderr.writeSync(encoder.encode(text));
    } catch {
      // Nobody watches any more.
    }
    return true;
  },
};

// What is used of cli-progress, which comes without types.
interface Bar {
  start(total: number, value: number): void;
  update(value: number): void;
  stop(): void;
}

/** Draws how far `position()` has come, until it is disposed; then the line is clear again. */
export async function showProgress(
  total: number | undefined,
  position: () => number,
): Promise<Disposable> {
  const began = performance.now();
  const line = () =>
    progressLine({
      done: position(),
      total,
      seconds: (performance.now() - began) / 1000,
      columns: columns(MOST_COLUMNS),
    });
  let bar: Bar;
  try {
    const { SingleBar } = (await import("npm:cli-progress@^3.12.0")).default;
    bar = new SingleBar({
      stream: terminal,
      format: line,
      clearOnComplete: true,
      hideCursor: true,
      // Its own signal handlers would end the process before the file is cut to what is whole.
      gracefulExit: false,
    });
  } catch {
    // A bar that cannot be had is no reason to copy nothing.
    return { [Symbol.dispose]() {} };
  }
  bar.start(total ?? 0, 0);
  const timer = setInterval(() => bar.update(position()), REDRAW_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      bar.stop();
    },
  };
}

/** How far a transfer is. */
export interface Progress {
  /** Bytes done. */
  done: number;
  /** Bytes expected; undefined where nobody knows. */
  total: number | undefined;
  /** Since it began. */
  seconds: number;
  /** Of the terminal. */
  columns: number;
}

/** One line that fits the terminal: the bar takes what the figures leave, and goes first where there is little. */
export function progressLine({ done, total, seconds, columns }: Progress): string {
  const rate = formatRate(done, seconds);
  // The last column is left free: some terminals go to the next line after it.
  const room = columns - 1;
  if (total === undefined) return joined([formatSize(done), rate, formatDuration(seconds)], room);
  const part = total > 0 ? Math.min(1, done / total) : 1;
  const figures = [
    `${Math.floor(part * 100)}%`.padStart(4),
    `${formatSize(done)} of ${formatSize(total)}`,
    rate,
    ...(done > 0 ? [`${formatDuration(seconds * (1 - part) / part)} left`] : []),
  ];
  const cells = Math.min(MOST_BAR, room - 1 - joined(figures, Infinity).length);
  if (cells < LEAST_BAR) return joined(figures, room).trimStart();
  const filled = Math.round(part * cells);
  return `${"#".repeat(filled)}${"-".repeat(cells - filled)} ${joined(figures, Infinity)}`;
}

/** As many figures as there is room for, the first at least. */
function joined(figures: string[], room: number): string {
  let shown = figures;
  while (shown.length > 1 && shown.join("  ").length > room) shown = shown.slice(0, -1);
  return shown.join("  ").slice(0, Math.max(0, room));
}
