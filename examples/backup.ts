/**
 * A backup: compresses the output of any command into a file that appears only when the command has succeeded and every
 * byte is durable. If the command fails, or after Ctrl-C, no file appears, and an older one stays.
 *
 * ```sh
 * deno run --allow-ffi --allow-run=tar --allow-write=. examples/backup.ts backup.tar.gz -- tar --create examples
 * ```
 *
 * The same with `pg_dump shop` in place of `tar ...` and `--allow-run=pg_dump` is a backup of a database.
 *
 * @module
 */
import { DmaFile, DmaStreamWriter } from "@denodma/dma";

const PROGRESS_MS = Deno.stderr.isTerminal() ? 200 : 5_000;

/** Counts the bytes that pass, and prints their number from time to time. */
class Progress extends TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  #read = 0;
  readonly #began = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(readonly writer: DmaStreamWriter) {
    super({
      transform: (chunk, controller) => {
        this.#read += chunk.length;
        controller.enqueue(chunk);
      },
    });
    const [start, end] = Deno.stderr.isTerminal() ? ["\r\x1b[K", ""] : ["", "\n"];
    this.#timer = setInterval(() => print(`${start}${this}${end}`), PROGRESS_MS);
  }

  override toString(): string {
    const seconds = (performance.now() - this.#began) / 1000;
    const [read, written] = [this.#read, this.writer.currentPos].map((bytes) => bytes / 1024 ** 2);
    const rate = read! / seconds;
    return `${read!.toFixed(1)} MiB read, ${written!.toFixed(1)} MiB written, ${
      rate.toFixed(1)
    } MiB/s`;
  }

  stop(): void {
    clearInterval(this.#timer);
    if (Deno.stderr.isTerminal()) print("\r\x1b[K");
  }
}

function print(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

/** Makes a backup. Resolves to the last progress line when the backup is complete and durable. */
async function backup(path: string, command: string, args: string[]): Promise<string> {
  const interruption = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => interruption.abort(new Error(`Stopped by ${name}`)));
  }
  const { signal } = interruption;
  const file = await DmaFile.create(path, { atomic: true, read: false, mode: 0o600 });
  const writer = new DmaStreamWriter(file);
  const progress = new Progress(writer);
  try {
    // The command is killed when the signal fires.
    const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", signal })
      .spawn();
    // The command can still fail after the end of its output, so that end must not close the file.
    await child.stdout
      .pipeThrough(progress)
      .pipeThrough(new CompressionStream("gzip"))
      .pipeTo(writer, { signal, preventClose: true });
    const { success, code } = await child.status;
    signal.throwIfAborted();
    if (!success) throw new Error(`'${command}' ended with exit code ${code}`);
    await writer.close();
    return String(progress);
  } catch (error) {
    // If the disk failed, the command may still be running.
    interruption.abort(error);
    await writer.abort(error);
    throw error;
  } finally {
    progress.stop();
  }
}

if (import.meta.main) {
  const [path, dashes, command, ...args] = Deno.args;
  if (path === undefined || dashes !== "--" || command === undefined) {
    console.error("Usage: backup.ts OUT.gz -- COMMAND [ARGUMENT...]");
    Deno.exit(2);
  }
  try {
    console.error(`${path}: ${await backup(path, command, args)}, durable`);
  } catch (error) {
    console.error(`No backup was made: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
