// How a reader reads.

/** Options of a reader, checked. */
export interface ReaderOptions {
  /** The first byte to deliver. */
  readonly start: number;
  /** The byte after the last one, at most. */
  readonly end: number;
  /** A multiple of the alignment. */
  readonly bufferSize: number;
  /** Buffers in flight or ready, besides the current one. 0: nothing is read before it is asked for. */
  readonly readAhead: number;
  readonly closeFile: boolean;
  /** Whether it uses smaller and fewer buffers while many streams are at work. */
  readonly sharesMemory: boolean;
}
