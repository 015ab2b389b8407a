// What a running program has: files in slots, streams on them, and calls under way.

import { Errno } from "../../../src/engine/linux.ts";
import type { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import type { descriptorNumber } from "../../../src/dma_file.ts";
import type { DmaError } from "../../../src/errors.ts";
import type { finishOpenFiles, flushOpenFilesNow } from "../../../src/file/program_end.ts";
import { isTemporary, type Place } from "../oracle/expected_names.ts";
import { Violation } from "../oracle/promises.ts";
import type { MemoryUser, Oracle } from "../oracle/oracle.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import type { WriterOracle } from "../oracle/writer_oracle.ts";
import { DIRECTORIES, type World } from "../world.ts";
import type { Finalizers } from "./finalizers.ts";
import type { Of } from "./steps.ts";

/** The module under test: the real one, or one with a mistake in it. */
export interface ModuleUnderTest {
  readonly descriptorNumber: typeof descriptorNumber;
  readonly DmaFile: typeof DmaFile;
  readonly DmaStreamWriter: typeof DmaStreamWriter;
  readonly DmaStreamReader: typeof DmaStreamReader;
  readonly finishOpenFiles: typeof finishOpenFiles;
  readonly flushOpenFilesNow: typeof flushOpenFilesNow;
}

/** An open file of a program. */
export class Handle {
  /** Whether its open made the file, or emptied it: what others put there is not kept. */
  owns = false;
  /** Something was written by it: only before that it takes what it owns for empty. */
  hasWritten = false;
  /** Where an atomic file will stand; undefined for others, and when it stands there. */
  target: Place | undefined;
  /** Whether it may have a hidden name. */
  hidden = false;
  /** Renames that have begun or ended: what they do to a name that is published meanwhile is open. */
  renames = 0;
  /** A second writer is tried, and given up. */
  probed = false;
  /** It is being sealed: it may not be written to from some moment on. */
  sealing = false;
  /** A stream on it closes it where it fails. */
  fragile = false;
  /** Something that closes it has begun: it may be closed at any moment. */
  closing = false;

  /**
   * Writes of its streams begin and end at a multiple of `block`. With `appends` every write goes to the end of the file:
   * nobody else changes it while it is written to.
   */
  constructor(
    readonly file: DmaFile,
    readonly tracked: TrackedFile,
    readonly block: number,
    readonly readable: boolean,
    public writable: boolean,
    readonly appends: boolean,
  ) {}
}

/** A name, as it was when a call began. */
export interface StandingName {
  readonly place: Place;
  readonly renames: number;
}

export interface OpenWriter {
  readonly slot: Slot;
  readonly stream: DmaStreamWriter;
  readonly oracle: WriterOracle;
  readonly handle: Handle;
  readonly memory: MemoryUser;
  /** The file that a pipe reads for it: the writer fails with that file's error. */
  source?: Handle | undefined;
}

export interface OpenReader {
  readonly stream: DmaStreamReader;
  readonly handle: Handle;
  readonly memory: MemoryUser;
  /** The moment since which what it reads must be the same. */
  readonly since: number;
  readonly end: number;
  /** Its end closes the file, which nobody else uses from its beginning on. */
  readonly closeFile: boolean;
  /** A read or an end is under way: where the next byte comes from is open. */
  busy: boolean;
  /** It has come to its end. */
  over: boolean;
  /** The program closes it: what waits for bytes gets none. */
  closing: boolean;
}

/** A place for one file of a program. */
export class Slot {
  handle: Handle | undefined;
  writer: OpenWriter | undefined;
  /** The last one that has ended. */
  ended: OpenWriter | undefined;
  reader: OpenReader | undefined;
  opening = false;
}

/** When a step is over: at once, or when the promise resolves. */
export type Over = Promise<void> | void;

/** Why a call may be refused. */
export interface Excuse {
  readonly handle?: Handle | undefined;
  /** Where bytes come from. */
  readonly source?: Handle | undefined;
  readonly writer?: WriterOracle | undefined;
  /** Error numbers that are right without any fault. */
  readonly errnos?: readonly number[];
  /** Whether the program itself used the module wrongly, or may have. */
  readonly misuse?: boolean;
}

/** One call, and what its end means. */
export interface Call<T> extends Excuse {
  readonly name: string;
  readonly promise: Promise<T>;
  /** The most bytes that it has for data meanwhile. */
  readonly memory?: number;
  /** Called first when it has settled. */
  readonly over?: () => void;
  readonly done?: (value: T) => void;
  readonly failed?: (error: unknown) => void;
}

type Pending = Pick<Call<unknown>, "name" | "promise" | "writer">;

/** What the kernel says where something is missing. */
const MISSING: readonly number[] = [Errno.EISDIR, Errno.EOPNOTSUPP, Errno.EINVAL];

/** Everything that the tasks of a program share. */
export class Session {
  readonly slots: readonly Slot[];
  /** Calls that have not settled, by name. */
  readonly pending: Set<Pending> = new Set();
  /** Errors that the program itself brought in: reasons of aborts, failures of sources. */
  readonly #ownErrors = new Set<unknown>();
  /** Every path that the program has written. */
  readonly #paths = new Set<string>();
  /** Writers that were dropped: nobody is told when they have ended. */
  readonly dropped: OpenWriter[] = [];
  /** Another process has moved files: the module knows them by names that they have no more. */
  movedByOthers = false;
  /** Called when nothing is in flight and nobody waits for anything, where somebody wants to know. */
  idle: (() => void) | undefined;
  /** The process ends: a rejection that nobody handles ends it with that error. */
  endsNow = false;
  /** The working directory: the index of a directory, or -1 for the one above them. */
  directory = -1;

  constructor(
    readonly world: World,
    readonly oracle: Oracle,
    readonly module: ModuleUnderTest,
    readonly finalizers: Finalizers,
    slots: number,
    readonly trace?: (line: string) => void,
  ) {
    this.#paths.add(world.root);
    this.slots = Array.from({ length: slots }, () => new Slot());
  }

  /** A path as the program writes it. */
  path({ directory, name, relative }: Of<"open">["path"]): string {
    const folder = DIRECTORIES[directory]!;
    const path = !relative
      ? `${this.world.root}/${folder}/${name}`
      : this.directory < 0
      ? `${folder}/${name}`
      : this.directory === directory
      ? name
      : `../${folder}/${name}`;
    this.#paths.add(path);
    return path;
  }

  /** An error that the program brings in. */
  ownError(text: string): Error {
    const error = new Error(text);
    this.#ownErrors.add(error);
    return error;
  }

  /** An error that the platform makes for the program, as that of an AbortSignal. */
  adopt(error: unknown): void {
    this.#ownErrors.add(error);
  }

  /** Watches a call. Resolves when it has settled and its end was looked at. */
  call<T>(call: Call<T>): Promise<void> {
    const { promise, memory: bound = 0, done, failed } = call;
    const memory = { bound };
    this.pending.add(call);
    this.oracle.memoryUsers.add(memory);
    const over = (check: () => void) => {
      this.pending.delete(call);
      this.oracle.memoryUsers.delete(memory);
      this.oracle.guard(() => {
        call.over?.();
        check();
      });
    };
    return promise.then(
      (value) =>
        over(() => {
          this.trace?.(`  ${call.name} resolves to ${shown(value)}`);
          done?.(value);
        }),
      (error) =>
        over(() => {
          this.trace?.(`  ${call.name} rejects with ${describeError(error)}`);
          this.explain(call, error);
          failed?.(error);
        }),
    );
  }

  /** "errors": a call that rejects says what went wrong, and nothing else does. */
  explain(call: Excuse & { readonly name: string }, error: unknown): void {
    if (this.#isRight(call, error) && this.#hasForm(error)) return;
    throw new Violation("errors", `${call.name} rejects with ${describeError(error)}`);
  }

  /** What the kernel refused is told in Deno's form, with the call and a path of the program. */
  #hasForm(error: unknown): boolean {
    const { errno, code, op, path, message } = error as Partial<DmaError>;
    if (errno === undefined) return true;
    return code !== undefined && this.#paths.has(path!) &&
      message!.includes(`(os error ${errno}): ${op} '${path}'`);
  }

  #isRight(
    { handle, source, writer, errnos, misuse }: Excuse,
    error: unknown,
  ): boolean | undefined {
    if (this.#ownErrors.has(error) || writer?.failure?.reason === error) return true;
    const { faults, isLimited } = this.world;
    const { errno } = error as { errno?: number };
    if (errno === undefined) {
      const isTypeError = error instanceof TypeError || error instanceof RangeError;
      const lacksMemory = String(error).includes("Cannot map");
      return (isTypeError && misuse === true) ||
        (lacksMemory && faults.hit("acquire"));
    }
    return errnos?.includes(errno) ||
      (errno === Errno.EBADF &&
        [handle, source].some((each) => each && mayBeShut(each, this.isFaulty))) ||
      faults.happened.some((fault) => fault.errno === errno) ||
      // What is cut short again and again fails.
      (errno === Errno.EIO && faults.shortened > 0) ||
      (isLimited && MISSING.includes(errno));
  }

  /** Whether somebody else made or emptied a file, and takes what others put there for nothing. */
  isOthers(tracked: TrackedFile, handle?: Handle): boolean {
    const { expected, mayLookReserved, writers } = tracked;
    // Its next writer cuts off what stands in space that it has reserved (docs/limits.md).
    const isReserved = handle !== undefined && writers.size === 0 && mayLookReserved;
    return (expected.end === 0 || isReserved) &&
      this.slots.some(({ handle: other }) =>
        other?.tracked === tracked && other.owns && other !== handle
      );
  }

  /** Whether another handle has the same file. */
  isShared(handle: Handle): boolean {
    return this.slots.some(({ handle: other }) =>
      other !== handle && other?.tracked === handle.tracked
    );
  }

  /** Calls of a writer that are under way. They keep the stream from being collected. */
  callsOf(writer: WriterOracle): Pending[] {
    return [...this.pending].filter((call) => call.writer === writer);
  }

  /** What a sync of a file by its name promises. */
  promiseName({ file, tracked, renames }: Handle, name: StandingName | undefined): void {
    // A directory that may not be read cannot be synced.
    if (this.world.faults.happened.some(({ errno }) => errno === Errno.EACCES)) return;
    const isSame = name && name.renames === renames && this.#standsAt(name.place, tracked);
    if (isSame && tracked.namer === file) this.oracle.names.promise(name.place);
  }

  #standsAt(place: Place, tracked: TrackedFile): boolean {
    return this.world.listing().get(place) === tracked.view.inode;
  }

  /** The name of a file; undefined where it has none, or is just getting another one. */
  standingName(handle: Handle): StandingName | undefined {
    const place = this.placeOf(handle);
    const { renames } = handle;
    return place === undefined || renames % 2 === 1 ? undefined : { place, renames };
  }

  /** Where the name of a file stands now, whoever put it there. A hidden name is none. */
  placeOf({ tracked }: Handle): Place | undefined {
    for (const [place, inode] of this.world.listing()) {
      if (inode === tracked.view.inode && !isTemporary(place)) return place;
    }
    return undefined;
  }

  /** Whether something went wrong so far, or is missing. */
  get isFaulty(): boolean {
    return this.world.faults.count > 0 || this.world.isLimited;
  }

  /** Whether every cut at an end succeeds. */
  get cutsAreSure(): boolean {
    return !this.world.faults.hit("truncate");
  }

  /** An atomic file has its name, or gets none. */
  unhide(handle: Handle): void {
    if (handle.hidden) this.oracle.temporaries--;
    handle.hidden = false;
  }

  /** A handle is closed: its slot is free. */
  leave(handle: Handle): void {
    this.unhide(handle);
    this.forget(handle);
  }

  /** The program forgets a writer. */
  drop(writer: OpenWriter): void {
    writer.oracle.ending = true;
    writer.slot.writer = undefined;
    this.dropped.push(writer);
    this.oracle.hasDropped = true;
    this.finalizers.collect(writer.stream);
  }

  /** A handle is of no use any more. */
  forget(handle: Handle): void {
    handle.closing = true;
    for (const slot of this.slots) if (slot.handle === handle) slot.handle = undefined;
  }
}

/** Whether a file may be closed by now, or closed to writing. */
function mayBeShut({ closing, sealing, fragile }: Handle, isFaulty: boolean): boolean {
  return closing || sealing || (fragile && isFaulty);
}

function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value === "object" ? "an object" : String(value);
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.name}: ${error.message}`;
}
