/**
 * A Worker makes the lines of a report and writes them to a stream that it was given. The file is the main program's, which
 * waits until it is durable.
 *
 * ```sh
 * deno run --allow-ffi --allow-write=. examples/worker_writes.ts report.csv 10000
 * ```
 *
 * @module
 */
import { DmaFile } from "@denodma/dma";

/** What the Worker is told. */
interface Order {
  stream: WritableStream<Uint8Array>;
  lines: number;
}

/**
 * In the Worker: writes lines, and ends the stream. What fails here aborts it, and the main program is told. It uses nothing
 * from around it, because the Worker has its source alone.
 */
async function writeLines({ stream, lines }: Order): Promise<void> {
  const writer = stream.getWriter();
  const encoder = new TextEncoder();
  try {
    if (!(lines > 0)) throw new RangeError(`Cannot write ${lines} lines`);
    for (let line = 0; line < lines; line++) {
      await writer.write(encoder.encode(`${line},${line * line}\n`));
    }
    // Resolves before anything is durable: a stream that was transferred hears nothing of the disk.
    await writer.close();
  } catch (error) {
    await writer.abort(error);
  }
}

/** Starts the Worker. One that is a file of its own would be `new Worker(import.meta.resolve("./lines.ts"), …)`. */
function startWorker(): Worker {
  const source = `self.onmessage = ({ data }) => (${writeLines})(data);`;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return new Worker(url, { type: "module" });
}

/** In the main program: makes a file, has a Worker write it, and resolves to its length when it is durable. */
async function report(path: string, lines: number): Promise<number> {
  // Closing the file gives up what is not whole, whatever becomes of the Worker.
  await using file = await DmaFile.create(path, { atomic: true, read: false });
  const writer = file.writable;
  const worker = startWorker();
  try {
    const failed = new Promise<never>((_, reject) => {
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
    worker.postMessage({ stream: writer, lines }, [writer as unknown as Transferable]);
    await Promise.race([writer.closed, failed]);
    return writer.currentPos;
  } finally {
    worker.terminate();
  }
}

if (import.meta.main) {
  const [path, lines] = Deno.args;
  if (path === undefined || lines === undefined) {
    console.error("Usage: worker_writes.ts FILE LINES");
    Deno.exit(2);
  }
  try {
    console.log(`${path}: ${await report(path, Number(lines))} bytes, durable`);
  } catch (error) {
    console.error(`No report was made: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
