/**
 * Copies a large file and shows the progress, at the speed of the disk: JavaScript does not copy the buffers between reads
 * and writes, and neither file pushes anything out of the page cache.
 *
 * The copy appears only when it is complete and durable. Ctrl-C leaves nothing of it.
 *
 * ```sh
 * deno run --allow-ffi --allow-read=large.img --allow-write=. examples/copy_with_progress.ts large.img copy.img
 * ```
 *
 * @module
 */
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "@denodma/dma";

const MIB = 1024 ** 2;
const REDRAW_MS = 100;

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** Shows the writer's progress, on a terminal only, until it is disposed. */
function showProgress(writer: DmaStreamWriter, size: number, rate: () => string): Disposable {
  if (!Deno.stderr.isTerminal()) return { [Symbol.dispose]() {} };
  const encoder = new TextEncoder();
  // Returns to the start of the line, writes the text, and erases the rest of a longer one.
  const draw = (text: string) => Deno.stderr.writeSync(encoder.encode(`\r${text}\x1b[K`));
  const timer = setInterval(() => {
    const done = writer.currentFlushedPos;
    const percent = Math.floor(100 * done / Math.max(size, 1));
    draw(`${percent} %  ${mebibytes(done)} of ${mebibytes(size)}  ${rate()}`);
  }, REDRAW_MS);
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      draw("");
    },
  };
}

/** Copies a file. Resolves to a summary. */
async function copy(from: string, to: string, signal: AbortSignal): Promise<string> {
  const source = await DmaFile.open(from);
  const { size, mode } = await source.stat();
  const reader = new DmaStreamReader(source);
  const target = await DmaFile.create(to, { atomic: true, read: false, mode: mode! & 0o777 });
  // The size is known, so its space is reserved at once.
  const writer = new DmaStreamWriter(target, { sizeHint: size });

  const began = performance.now();
  const rate = () => {
    const seconds = (performance.now() - began) / 1000;
    return `${mebibytes(writer.currentFlushedPos / seconds)}/s`;
  };
  {
    using _ = showProgress(writer, size, rate);
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
