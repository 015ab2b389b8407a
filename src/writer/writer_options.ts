// How a writer writes.

/** Options of a {@linkcode Writer}. Every number has been checked. */
export interface WriterOptions {
  /** A multiple of the file's block size. */
  readonly bufferSize: number;
  /** Writes in flight at most. */
  readonly writeBehind: number;
  /** Whether it uses smaller and fewer buffers while many streams are at work. */
  readonly sharesMemory: boolean;
  readonly position: number;
  readonly append: boolean;
  readonly sizeHint: number;
  readonly preallocate: boolean;
  readonly syncOnClose: boolean;
  readonly closeFile: boolean;
}
