// The steps that programs are made of, as values: they can be printed, dropped and run again.

/** A name of a file: the directory's index, and the name in it. */
export interface FilePath {
  readonly directory: number;
  readonly name: string;
  /** Relative to the working directory. */
  readonly relative: boolean;
}

export type Direct = "prefer" | "off";

export type Action =
  // Files.
  | { do: "create"; path: FilePath; atomic: boolean; direct: Direct }
  | {
    do: "open";
    path: FilePath;
    write: boolean;
    create: "no" | "yes" | "new";
    truncate: boolean;
    /** Every write goes to the end of the file as it then is. */
    append: boolean;
    direct: Direct;
  }
  | { do: "temp" }
  | { do: "close file" }
  | { do: "drop file" }
  | { do: "rename"; path: FilePath }
  | { do: "remove" }
  | { do: "sync file"; dataOnly: boolean }
  | { do: "size" }
  | { do: "lock"; exclusive: boolean }
  | { do: "unlock" }
  // Ranges.
  | { do: "readAt"; position: number; length: number; aligned: boolean }
  | { do: "readMany"; ranges: readonly [number, number][]; maxGap: number; stopAfter: number }
  | { do: "writeAt"; block: number; blocks: number; buffer: boolean; seed: number }
  | { do: "truncate"; to: Length }
  | { do: "preallocate"; length: number; keepSize: boolean }
  | { do: "deallocate"; position: number; length: number }
  | { do: "copy"; target: number; position: number; length: number; block: number }
  // Writers.
  | ({ do: "writer" } & WriterChoice)
  | { do: "write"; size: number; how: "call" | "lock" | "buffer" | "burst"; seed: number }
  | { do: "write nonsense" }
  | { do: "flush"; tail: boolean }
  | { do: "sync"; tail: boolean }
  | { do: "flush now"; durable: boolean }
  | { do: "end writer"; how: WriterEnding }
  // Readers.
  | {
    do: "reader";
    start: number;
    length: number;
    bufferSize: number;
    readAhead: number;
    closeFile: boolean;
  }
  | { do: "read"; reads: number; view: number }
  | { do: "skip"; bytes: number }
  | { do: "end reader"; how: "cancel" | "close" | "read all" | "drop" }
  // Pipes.
  | ({ do: "pipe" } & PipeChoice)
  // Others.
  | { do: "another process"; what: OtherAction; path: FilePath; amount: number; seed: number }
  | { do: "change directory"; directory: number }
  /** An error that nobody catches, after which the program goes on all the same. */
  | { do: "crash" }
  | { do: "sleep"; microseconds: number }
  | { do: "join" };

export type Of<Name extends Action["do"]> = Extract<Action, { do: Name }>;

/** A length relative to what the file has. */
export interface Length {
  readonly of: "zero" | "content" | "size" | "beyond";
  readonly amount: number;
}

export interface WriterChoice {
  readonly place: "start" | "position" | "append" | "default";
  readonly position: number;
  readonly bufferSize: number | undefined;
  readonly writeBehind: number | undefined;
  readonly preallocate: boolean;
  readonly sizeHint: number;
  readonly syncOnClose: boolean;
  readonly closeFile: boolean;
  /** Waits until it knows where it starts. */
  readonly waits: boolean;
}

export interface PipeChoice {
  /** Another file's reader, or bytes that a program makes. */
  readonly source: "file" | "program";
  readonly from: number;
  readonly size: number;
  readonly seed: number;
  readonly preventClose: boolean;
  readonly preventAbort: boolean;
  readonly preventCancel: boolean;
  /** A signal aborts it after so many microseconds. */
  readonly abortAfter: number | undefined;
  /** The source fails after so many chunks. */
  readonly failAfter: number | undefined;
}

export type WriterEnding = "close" | "lock" | "dispose" | "seal" | "abort" | "abort lock" | "drop";

export type OtherAction = "append" | "truncate" | "rename" | "remove" | "replace";

export interface Step {
  readonly id: number;
  readonly task: number;
  /** The file that it is about. */
  readonly slot: number;
  /** Whether the task waits until it is over. */
  readonly awaited: boolean;
  readonly action: Action;
}

/** A program: steps of several tasks, which run at once. */
export interface Program {
  readonly steps: readonly Step[];
  readonly tasks: number;
  readonly slots: number;
  /** Whether it leaves its files to the end of the process. */
  readonly endsOpen: boolean;
}

export function describeStep({ id, task, slot, awaited, action }: Step): string {
  const { do: what, ...rest } = action;
  const options = Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return `${id}: task ${task}, file ${slot}: ${what}${
    options.length ? `, ${options.join(", ")}` : ""
  }${awaited ? "" : ", not awaited"}`;
}
