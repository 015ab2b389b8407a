// Finds out where a writer starts: the length of the file, and the bytes before the start in its block.

import { alignDown } from "../align.ts";
import { readBlock } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";
import { submitStat } from "../file/stat.ts";
import type { WriterOptions } from "./writer_options.ts";

/** Where a writer starts. */
export interface Start {
  readonly position: number;
  /** The bytes of the file before the position, in its block. */
  readonly head: Uint8Array;
}

/** One search. Nothing else writes to the file or truncates it meanwhile. */
export class StartSearch {
  readonly #file: OpenFile;
  readonly #options: WriterOptions;
  readonly #ended: (found: Start | Error | undefined) => void;
  readonly #release: () => void;
  #begun = false;
  #stopped = false;

  /** `ended` gets the start, or why there is none, or nothing after {@linkcode stop}; not within this call. */
  constructor(
    file: OpenFile,
    options: WriterOptions,
    ended: (found: Start | Error | undefined) => void,
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
        else this.#readHead(this.#startIn(facts.size));
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

  #readHead(position: number): void {
    const file = this.#file;
    const base = alignDown(position, file.blockSize);
    if (base === position) return this.#end({ position, head: new Uint8Array(0) });
    try {
      readBlock(file, base, (block) => {
        if (block instanceof Error) this.#end(block);
        else this.#end({ position, head: block.bytes.subarray(0, position - base) });
      });
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #end(found?: Start | Error): void {
    this.#release();
    this.#ended(found);
  }
}
