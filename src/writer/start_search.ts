// Finds out where a writer starts, from the length of the file.

import { queueMicrotask } from "../engine/event_loop.ts";
import type { OpenFile } from "../file/open_file.ts";
import { submitStat } from "../file/stat.ts";
import type { WriterOptions } from "./writer_options.ts";

/** One search. Nothing else writes to the file or truncates it meanwhile. */
export class StartSearch {
  readonly #file: OpenFile;
  readonly #options: WriterOptions;
  readonly #ended: (found: number | Error | undefined) => void;
  readonly #release: () => void;
  #begun = false;
  #stopped = false;

  /** `ended` gets the start, or why there is none, or nothing after {@linkcode stop}; not within this call. */
  constructor(
    file: OpenFile,
    options: WriterOptions,
    ended: (found: number | Error | undefined) => void,
  ) {
    this.#file = file;
    this.#options = options;
    this.#ended = ended;
    // A size from before the end of another write would be mistaken for the end of the content.
    this.#release = file.length.holdWrites(() => queueMicrotask(() => this.#askSize()));
  }

  /** Begins if nothing is in flight: a program that blocks is not told of the end of other writes. */
  beginNow(): void {
    if (this.#file.engine.counters.inFlight === 0) this.#askSize();
  }

  /** Lets others write. An operation in flight ends first. */
  stop(): void {
    this.#stopped = true;
    this.#release();
    if (!this.#begun) this.#end();
  }

  #askSize(): void {
    if (this.#begun || this.#stopped) return;
    this.#begun = true;
    try {
      submitStat(this.#file.descriptor, false, (facts) => {
        if (facts instanceof Error) this.#end(facts);
        else if (this.#stopped) this.#end();
        else this.#end(this.#startIn(facts.size));
      });
    } catch (error) {
      this.#end(error as Error);
    }
  }

  /** Where to start in a file that was found to be `size` long. */
  #startIn(size: number): number {
    const { append, position } = this.#options;
    const { length, ownsSize } = this.#file;
    length.found(size, append || !ownsSize);
    const start = append ? size : position;
    // A start behind reserved space means that the space is content.
    length.addContent(Math.min(start, size));
    return start;
  }

  #end(found?: number | Error): void {
    this.#release();
    this.#ended(found);
  }
}
