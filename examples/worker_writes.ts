/**
 * A Worker makes the lines of a report and writes them to a stream that the main program has transferred to it. The main
 * program owns the file, and waits until it is durable.
 *
 * ```sh
 * deno run --allow-ffi --allow-write=. examples/worker_writes.ts report.csv 10000
 * ```
 *
 * @module
 */
import { DmaFile } from "@denodma/dma";

/** The message to the Worker. */
interface Order {
  stream: WritableStream<Uint8Array>;
  lines: number;
}

/**
 * Runs in the Worker: writes lines, and closes the stream. An error aborts the stream, so that the main program's writer
 * rejects. The function uses no other name of this module, because the Worker gets only the function's source.
 */
async function writeLines({ stream, lines }: Order): Promise<void> {
  const writer = stream.getWriter();
  const encoder = new TextEncoder();
  try {
    if (!(lines > 0)) throw new RangeError(`Cannot write ${lines} lines`);
    for (let line = 0; line < lines; line++) {
      await writer.write(encoder.encode(`${line},${line * line}\n`));
    }
    // Resolves before any byte is durable: a transferred stream does not wait for the disk.
    await writer.close();
  } catch (error) {
    await writer.abort(error);
  }
}

/** Starts the Worker. A Worker in its own file would be `new Worker(import.meta.resolve("./lines.ts"), …)`. */
function startWorker(): Worker {
  const source = `self.onmessage = ({ data }) => (${writeLines})(data);`;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return new Worker(url, { type: "module" });
}

/** Runs in the main program: makes a file that a Worker writes. Resolves to its length when it is durable. */
async function report(path: string, lines: number): Promise<number> {
  // If the Worker fails, the end of the scope closes the file while its writer is open. That discards the file.
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
