// The options of a transfer, as the command line gives them.

/** Fail if the file system refuses Direct I/O, use the page cache then, or always use the page cache. */
export type DirectMode = "require" | "prefer" | "off";

/** The options of `write` and `copy`. */
export interface TransferOptions {
  /** The name appears only when everything is written and durable. */
  atomic?: boolean;
  /** Write to the end of the file, and keep its content. */
  append?: boolean;
  /** False: fail if the file exists. */
  clobber?: boolean;
  /** Bytes of one buffer. */
  bufferSize?: number;
  writeBehind?: number;
  direct: DirectMode;
  sync: boolean;
  /** The interval in milliseconds at which partly filled buffers are written; 0: never; absent: by the kind of source. */
  flushEvery?: number;
  /** Bytes expected from a source of unknown length. */
  size?: number;
  /** Keep mode, owner and times of the file that is copied. */
  preserve?: boolean;
  /** Keep the holes of the file that is copied, or write zeros. */
  sparse?: "auto" | "never";
  verify?: boolean;
  progress: boolean;
  quiet?: boolean;
  /** Print one JSON object on standard output instead of a line on standard error. */
  json?: boolean;
}
