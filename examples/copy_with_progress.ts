/**
 * A copy of a large file with a progress bar, at the speed of the disk: whole buffers go from reads to writes without
 * being touched by JavaScript, and neither file pushes anything out of the page cache.
 *
 * The copy appears only when it is whole and durable. Ctrl-C leaves nothing of it.
 *
 * ```sh
 * deno run --allow-ffi --allow-read=large.img --allow-write=. examples/copy_with_progress.ts large.img copy.img
 * ```
 *
 * @module
 */
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "@denodma/dma";
import { SingleBar } from "npm:cli-progress@^3.12.0";

const MIB = 1024 ** 2;
const REDRAW_MS = 100;

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** Draws how far the writer has come, on a terminal only, until it is disposed. */
function showProgress(writer: DmaStreamWriter, size: number, rate: () => string): Disposable {
  const bar = new SingleBar({
    format: "{bar} {percentage}%  {done} of {size}  {rate}  {eta_formatted} left",
    clearOnComplete: true,
    // Its own signal handlers would end the process before the unfinished copy is gone.
    gracefulExit: false,
  });
  const payload = () => ({
    done: mebibytes(writer.currentFlushedPos),
    size: mebibytes(size),
    rate: rate(),
  });
  bar.start(size, 0, payload());
  const timer = setInterval(() => bar.update(writer.currentFlushedPos, payload()), REDRAW_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      bar.stop();
    },
  };
}

/** Copies, and resolves to what there is to say about it. */
async function copy(from: string, to: string, signal: AbortSignal): Promise<string> {
  const source = await DmaFile.open(from);
  const { size, mode } = await source.stat();
  const reader = new DmaStreamReader(source);
  const target = await DmaFile.create(to, { atomic: true, read: false, mode: mode! & 0o777 });
  // What is known beforehand is reserved in one piece.
  const writer = new DmaStreamWriter(target, { sizeHint: size });

  const began = performance.now();
  const rate = () => {
    const seconds = (performance.now() - began) / 1000;
    return `${mebibytes(writer.currentFlushedPos / seconds)}/s`;
  };
  {
    using _bar = showProgress(writer, size, rate);
    await reader.pipeTo(writer, { signal });
  }
  const ways = source.direct && target.direct ? "Direct I/O" : "the page cache";
  return `${mebibytes(writer.currentPos)}, ${rate()}, durable, through ${ways}`;
}

if (import.meta.main) {
  const [from, to] = Deno.args;
  if (from === undefined || to === undefined) {
    console.error("Usage: copy_with_progress.ts SOURCE DEST");
    Deno.exit(2);
  }
  const interruption = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => interruption.abort(new Error(`Stopped by ${name}`)));
  }
  try {
    console.log(`${to}: ${await copy(from, to, interruption.signal)}`);
  } catch (error) {
    console.error(`Nothing was copied: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
