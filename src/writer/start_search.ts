// Finds out where a writer starts: the length of the file, and the bytes before the start in its block.

import { alignDown } from "../align.ts";
import type { Completion } from "../engine/operation.ts";
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
  readonly #ended: Completion;
  #release: () => void = () => {};
  #begun = false;
  #stopped = false;
  /** What was found; undefined before the end, after a failure, and after {@linkcode stop}. */
  start: Start | undefined;
  /** Why the search failed. */
  error: unknown;

  /** `ended` is called at the end. */
  constructor(file: OpenFile, options: WriterOptions, ended: Completion) {
    this.#file = file;
    this.#options = options;
    this.#ended = ended;
  }

  /** Begins when no other write or truncate is under way. */
  begin(): void {
    // A size from before the end of another write would be mistaken for the end of the content.
    const release = this.#file.length.holdWrites((release) => {
      this.#release = release;
      // A writer that is aborted at once asks for nothing.
      queueMicrotask(() => this.#askSize());
    });
    this.#release = release;
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
      this.#end(error);
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
    if (base === position) {
      this.start = { position, head: new Uint8Array(0) };
      return this.#end();
    }
    try {
      readBlock(file, base, (block) => {
        if (block instanceof Error) return this.#end(block);
        this.start = { position, head: block.bytes.subarray(0, position - base) };
        this.#end();
      });
    } catch (error) {
      this.#end(error);
    }
  }

  #end(error?: unknown): void {
    this.error = error;
    this.#release();
    this.#ended.complete(0);
  }
}
