// The progress bar of a terminal. Its library is loaded only here, when there is a terminal to draw on.
import { formatRate, formatSize } from "./units.ts";

const REDRAW_MS = 100;
const encoder = new TextEncoder();

// Standard error as the bar wants it. Not node's: that one turns a terminal that was closed into an uncaught exception, and
// the process would end before the file is cut to what is whole.
const terminal = {
  isTTY: true,
  get columns(): number {
    try {
      return Deno.consoleSize().columns;
    } catch {
      return 80;
    }
  },
  write(text: string): boolean {
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
  start(total: number, value: number, payload: Record<string, string>): void;
  update(value: number, payload: Record<string, string>): void;
  stop(): void;
}

/** Draws how far `position()` has come, until it is disposed; then the line is clear again. */
export async function showProgress(
  total: number | undefined,
  position: () => number,
): Promise<Disposable> {
  let bar: Bar;
  try {
    const { SingleBar } = (await import("npm:cli-progress@^3.12.0")).default;
    bar = new SingleBar({
      stream: terminal,
      format: total === undefined
        ? "{done}  {rate}  {duration_formatted}"
        : "{bar} {percentage}%  {done} of {size}  {rate}  {eta_formatted} left",
      barCompleteChar: "#",
      barIncompleteChar: "-",
      barsize: 30,
      clearOnComplete: true,
      hideCursor: true,
      // Its own signal handlers would end the process before the file is cut to what is whole.
      gracefulExit: false,
    });
  } catch {
    // A bar that cannot be had is no reason to copy nothing.
    return { [Symbol.dispose]() {} };
  }
  const began = performance.now();
  const payload = () => ({
    done: formatSize(position()),
    size: formatSize(total ?? 0),
    rate: formatRate(position(), (performance.now() - began) / 1000),
  });
  bar.start(total ?? 0, 0, payload());
  const timer = setInterval(() => bar.update(position(), payload()), REDRAW_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      bar.stop();
    },
  };
}
