/**
 * A backup: what any command prints, compressed into a file that appears only when the command has succeeded and
 * every byte is durable. A command that fails, and Ctrl-C, leave no file, and an older one as it was.
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

/** Counts the bytes that pass, and says from time to time how many they are. */
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

/** Resolves when the backup is whole and durable; rejects when there is none. */
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
    // The command is killed where the signal fires.
    const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", signal })
      .spawn();
    // The end of its output says nothing yet of success, so it must not be the end of the file.
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
    // The command may still run, where it was the disk that failed.
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
