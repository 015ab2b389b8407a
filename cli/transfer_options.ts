// What the command line says of a transfer.

/** What to do where the file system refuses Direct I/O. */
export type DirectMode = "require" | "prefer" | "off";

/** Whether holes are kept. */
export type SparseMode = "auto" | "never";

/** The options of `write` and `copy`. */
export interface TransferOptions {
  /** The name appears only when everything is written and durable. */
  atomic?: boolean;
  /** Begin at the end of the file, and keep what is there. */
  append?: boolean;
  /** False: only a file that is not there is made. */
  clobber?: boolean;
  /** Bytes of one buffer. */
  bufferSize?: number;
  /** Buffers in flight. */
  writeBehind?: number;
  /** What to do where the file system refuses Direct I/O. */
  direct: DirectMode;
  /** Make the data durable. */
  sync: boolean;
  /** Milliseconds after which what was accepted is written though no buffer is full; 0: never; absent: what suits the source. */
  flushEvery?: number;
  /** Bytes expected from a source of unknown length. */
  size?: number;
  /** Keep mode, owner and times of the file that is copied. */
  preserve?: boolean;
  /** Keep the holes of the file that is copied. */
  sparse?: SparseMode;
  /** Read back what was written, and compare. */
  verify?: boolean;
  /** Draw progress, where there is a terminal. */
  progress: boolean;
  /** Say nothing but errors. */
  quiet?: boolean;
  /** One JSON object on standard output instead of a line on standard error. */
  json?: boolean;
}
