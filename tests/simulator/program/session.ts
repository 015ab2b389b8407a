// The state of a running program: files in slots, their streams, and running calls.

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
import type { Path } from "./step.ts";

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
  /** Whether its open created or truncated the file, so that bytes of others are not kept. */
  owns = false;
  /** The future name of an unpublished atomic file; otherwise undefined. */
  target: Place | undefined;
  /** Whether it may have a hidden name. */
  hidden = false;
  /** Runs when a running publication has ended; undefined if there is none. */
  publishing: (() => void)[] | undefined;
  /** The number of renames that have begun or ended. Their effect on a concurrent publication is not known. */
  renames = 0;
  /** Whether a second writer is being tried. */
  probed = false;
  /** Whether it is being sealed, so that writes are rejected at any moment. */
  sealing = false;
  /** Whether a stream closes it after a failure. */
  fragile = false;
  /** Whether a close has begun, so that it may be closed at any moment. */
  closing = false;

  /**
   * Writes of its streams begin and end at a multiple of `block`. With `appends` every write goes to the end of the
   * file, and no other call changes the file meanwhile.
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

/** A name at the beginning of a call. */
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
  /** The file that a pipe into it reads. The writer fails with that file's error. */
  source?: Handle | undefined;
}

export interface OpenReader {
  readonly stream: DmaStreamReader;
  readonly handle: Handle;
  readonly memory: MemoryUser;
  /** The moment after which its bytes must not change. */
  readonly since: number;
  readonly end: number;
  /** Whether its end closes the file. No other call uses the file then. */
  readonly closeFile: boolean;
  /** Whether a read or an end is running, so that the position of the next byte is not known. */
  busy: boolean;
  /** Whether it has ended. */
  over: boolean;
  /** Whether the program closes it, so that waiting reads get no bytes. */
  closing: boolean;
}

/** A place for one file of a program. */
export class Slot {
  handle: Handle | undefined;
  writer: OpenWriter | undefined;
  /** The last reader that has ended. */
  ended: OpenWriter | undefined;
  reader: OpenReader | undefined;
  opening = false;
}

/** The end of a step: at once, or when the promise resolves. */
export type Over = Promise<void> | void;

/** The reasons for which a call may be rejected. */
export interface Excuse {
  readonly handle?: Handle | undefined;
  /** The source of the bytes. */
  readonly source?: Handle | undefined;
  readonly writer?: WriterOracle | undefined;
  /** The error numbers that are possible without a fault. */
  readonly errnos?: readonly number[];
  /** Whether the program may have used the module wrongly. */
  readonly misuse?: boolean;
}

/** One call, and the checks of its end. */
export interface Call<T> extends Excuse {
  readonly name: string;
  readonly promise: Promise<T>;
  /** The maximum memory for its data. */
  readonly memory?: number;
  /** Called first when it has settled. */
  readonly over?: () => void;
  readonly done?: (value: T) => void;
  readonly failed?: (error: unknown) => void;
}

type Pending = Pick<Call<unknown>, "name" | "promise" | "writer">;

/** The errors of missing features. */
const MISSING: readonly number[] = [Errno.EISDIR, Errno.EOPNOTSUPP, Errno.EINVAL];

/** The shared state of a program's tasks. */
export class Session {
  readonly slots: readonly Slot[];
  /** Running calls, by name. */
  readonly pending: Set<Pending> = new Set();
  /** Errors of the program itself: reasons of aborts, failures of sources. */
  readonly #ownErrors = new Set<unknown>();
  /** Every path that the program has used. */
  readonly #paths = new Set<string>();
  /** Dropped writers, whose end is not reported. */
  readonly dropped: OpenWriter[] = [];
  /** Whether another process has moved files, so that the module has outdated names. */
  movedByOthers = false;
  /** Called when nothing is in flight and no call waits, if set. */
  idle: (() => void) | undefined;
  /** Whether the process is ending, so that an unhandled rejection ends it with that error. */
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

  /** A path in the form that the program uses. */
  path({ directory, name, relative }: Path): string {
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

  /** Makes an error of the program. */
  ownError(text: string): Error {
    const error = new Error(text);
    this.#ownErrors.add(error);
    return error;
  }

  /** Makes an error of the platform, such as that of an AbortSignal. */
  adopt(error: unknown): void {
    this.#ownErrors.add(error);
  }

  /** Watches a call. Resolves when it has settled and its end was checked. */
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

  /** "errors": a rejected call reports the actual failure. */
  explain(call: Excuse & { readonly name: string }, error: unknown): void {
    if (this.#isRight(call, error) && this.#hasForm(error)) return;
    throw new Violation("errors", `${call.name} rejects with ${describeError(error)}`);
  }

  /** Errors of the kernel have Deno's form, with the operation and a path of the program. */
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
      // A transfer that is shortened repeatedly fails.
      (errno === Errno.EIO && faults.shortened > 0) ||
      (isLimited && MISSING.includes(errno));
  }

  /** Whether another handle created or truncated the file, and so does not expect bytes of others. */
  isOthers(tracked: TrackedFile, handle?: Handle): boolean {
    const { expected, mayLookReserved, writers } = tracked;
    // Its next writer cuts off bytes in space that it has reserved (docs/limits.md).
    const isReserved = handle !== undefined && writers.size === 0 && mayLookReserved;
    return (expected.end === 0 || isReserved) &&
      this.slots.some(({ handle: other }) =>
        other?.tracked === tracked && other.owns && other !== handle
      );
  }

  /** Whether a call may change the file now. */
  mayChange(handle: Handle): boolean {
    const { tracked, writable, appends, closing } = handle;
    if (!writable || appends || closing) return false;
    return !this.isOthers(tracked, handle) && !this.oracle.isEmptied(tracked.view);
  }

  /** Whether another handle has the same file. */
  isShared(handle: Handle): boolean {
    return this.slots.some(({ handle: other }) =>
      other !== handle && other?.tracked === handle.tracked
    );
  }

  /** Running calls of a writer. They keep the stream from being collected. */
  callsOf(writer: WriterOracle): Pending[] {
    return [...this.pending].filter((call) => call.writer === writer);
  }

  /** The promise of a sync of a file's name. */
  promiseName({ file, tracked, renames }: Handle, name: StandingName | undefined): void {
    // A directory without read permission cannot be synced.
    if (this.world.faults.happened.some(({ errno }) => errno === Errno.EACCES)) return;
    const isSame = name && name.renames === renames && this.#standsAt(name.place, tracked);
    if (isSame && tracked.namer === file) this.oracle.names.promise(name.place);
  }

  #standsAt(place: Place, tracked: TrackedFile): boolean {
    return this.world.listing().get(place) === tracked.view.inode;
  }

  /** The name of a file; undefined if it has none, or is being renamed. */
  standingName(handle: Handle): StandingName | undefined {
    const place = this.placeOf(handle);
    const { renames } = handle;
    return place === undefined || renames % 2 === 1 ? undefined : { place, renames };
  }

  /** The current name of a file, set by any call. A hidden name does not count. */
  placeOf({ tracked }: Handle): Place | undefined {
    for (const [place, inode] of this.world.listing()) {
      if (inode === tracked.view.inode && !isTemporary(place)) return place;
    }
    return undefined;
  }

  /** Whether a fault has occurred, or a feature is missing. */
  get isFaulty(): boolean {
    return this.world.faults.count > 0 || this.world.isLimited;
  }

  /** Whether every cut at an end succeeds. */
  get cutsAreSure(): boolean {
    return !this.world.faults.hit("truncate");
  }

  /** Ends the publication of an atomic file, successful or not. */
  unhide(handle: Handle): void {
    if (handle.hidden) this.oracle.temporaries--;
    handle.hidden = false;
  }

  /** Frees the slot of a closed handle. */
  leave(handle: Handle): void {
    this.unhide(handle);
    this.forget(handle);
  }

  /** Drops a writer. */
  drop(writer: OpenWriter): void {
    writer.oracle.ending = true;
    writer.slot.writer = undefined;
    this.dropped.push(writer);
    this.oracle.hasDropped = true;
    this.finalizers.collect(writer.stream);
  }

  /** Marks a handle as unusable. */
  forget(handle: Handle): void {
    handle.closing = true;
    for (const slot of this.slots) if (slot.handle === handle) slot.handle = undefined;
  }
}

/** Whether a file may be closed or sealed already. */
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
