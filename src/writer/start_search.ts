// Finds out where a writer starts: the length of the file, and the bytes before the start in its block.

import { readBlock, readBlockNow } from "../file/block.ts";
import type { OpenFile } from "../file/open_file.ts";
import { sizeNow, sizeOf } from "../file/stat.ts";
import type { WriterOptions } from "./writer_options.ts";

/** The longest single wait on the JavaScript thread: the event may have happened without a completion. */
export const LONGEST_WAIT_MS = 1000;

const NO_BYTES = new Uint8Array(0);

/** Where a writer starts. */
export interface Start {
  readonly position: number;
  /** The bytes of the file before the position, in its block. */
  readonly head: Uint8Array;
}

/** One search. Nothing else writes to the file or truncates it until the search has ended. */
export class StartSearch {
  readonly #file: OpenFile;
  readonly #options: WriterOptions;
  readonly #alone = Promise.withResolvers<void>();
  readonly #release: () => void;
  #ended = false;

  constructor(file: OpenFile, options: WriterOptions) {
    this.#file = file;
    this.#options = options;
    // A size from before the end of another write would be mistaken for the end of the content.
    this.#release = file.length.holdWrites(() => this.#alone.resolve());
  }

  /** Lets others write. {@linkcode find} finds nothing from now on. */
  end(): void {
    this.#ended = true;
    this.#release();
    this.#alone.resolve();
  }

  /** Resolves to the start; undefined if the search ended before it was found. */
  async find(): Promise<Start | undefined> {
    const file = this.#file;
    await this.#alone.promise;
    if (this.#ended) return undefined;
    const size = await sizeOf(file.descriptor);
    if (this.#ended) return undefined;
    const position = this.#startIn(size);
    const inside = position % file.blockSize;
    if (inside === 0) return { position, head: NO_BYTES };
    const { bytes } = await readBlock(file, position - inside);
    return { position, head: bytes.subarray(0, inside) };
  }

  /** Finds the start on the JavaScript thread, and ends the search. */
  findNow(): Start {
    const file = this.#file;
    const { engine, fd, path } = file;
    this.end();
    // Other writes to this file may be under way.
    while (engine.counters.inFlight > 0 && engine.waitNow(LONGEST_WAIT_MS));
    const position = this.#startIn(sizeNow(engine, fd, path));
    const inside = position % file.blockSize;
    if (inside === 0) return { position, head: NO_BYTES };
    const { bytes } = readBlockNow(file, position - inside);
    return { position, head: bytes.subarray(0, inside) };
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
}
