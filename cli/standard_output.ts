// Writes a source to standard output: `read`, and "-" as the destination.
import { EXIT_OK } from "./exit_codes.ts";
import { endEarly, Interruption } from "./interruption.ts";
import { note } from "./output.ts";
import { showProgress } from "./progress.ts";
import { remedyFor } from "./remedies.ts";
import { refuseSameFile, sizeOf, type Source } from "./source.ts";
import { formatCount, formatPace } from "./units.ts";

/** The options of a source that goes to standard output. */
export interface OutputOptions {
  /** Draw progress, if standard error is a terminal and standard output is not. */
  progress: boolean;
  quiet?: boolean;
  /** Bytes expected from a source of unknown length. */
  size?: number;
}

/**
 * The bytes of one write, the capacity of a pipe. A larger write would count only when its reader has taken all of it.
 */
const MOST_AT_ONCE = 64 << 10;

/** Writes a source to standard output. Resolves to the exit code. */
export async function writeOut(
  open: () => Promise<Source>,
  options: OutputOptions,
  from?: string,
): Promise<number> {
  using interruption = new Interruption();
  let source: Source | undefined;
  let written = 0;
  const output = new WritableStream<Uint8Array<ArrayBuffer>>({
    async write(chunk) {
      for (let at = 0; at < chunk.length;) {
        const count = await Deno.stdout.write(chunk.subarray(at, at + MOST_AT_ONCE));
        at += count;
        written += count;
      }
    },
  });
  try {
    source = await interruption.race(open());
    await refuseSameFile(source);
    const began = performance.now();
    const show = options.progress && !options.quiet && Deno.stderr.isTerminal() &&
      !Deno.stdout.isTerminal();
    {
      using _bar = show ? showProgress(sizeOf(source) ?? options.size, () => written) : undefined;
      for await (const { readable } of source.parts("never")) {
        // A signal must end the transfer even if the reader of standard output has stopped reading.
        await interruption.race(readable.pipeTo(output));
      }
    }
    if (!options.quiet) {
      const pace = formatPace(written, (performance.now() - began) / 1000);
      note(`wrote ${formatCount(written)} to standard output; ${pace}`);
    }
    await source.close();
    return EXIT_OK;
  } catch (error) {
    const stopped = options.quiet ? undefined : `wrote ${formatCount(written)} to standard output`;
    const sourceOpen = source !== undefined;
    return endEarly(error, stopped, remedyFor(error, { source: from, sourceOpen }));
  }
}
