// The state of a running program: files in slots, their streams, and running calls.

import type { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import { Errno } from "../../../src/engine/linux.ts";
import type { DmaError } from "../../../src/errors.ts";
import { DIRECTORIES, ROOT } from "../files.ts";
import type { Place } from "../kernel/directory_tree.ts";
import type { SimulatedKernel } from "../kernel/simulated_kernel.ts";
import { isTemporary } from "../oracle/expected_names.ts";
import type { MemoryUser, Oracle } from "../oracle/oracle.ts";
import { violate } from "../oracle/promises.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import type { WriterOracle } from "../oracle/writer_oracle.ts";
import { collect } from "./finalizers.ts";
import type { Path } from "./step.ts";

/** The module under test: the real one, or one with a mistake in it. */
export type ModuleUnderTest =
  & typeof import("../../../mod.ts")
  & typeof import("../../../src/configure.ts")
  & typeof import("../../../src/dma_file.ts")
  & typeof import("../../../src/file/program_end.ts")
  & typeof import("../../../src/engine/event_loop.ts");

export class Handle {
  /** Whether its open created or truncated the file, so that bytes of others are not kept. */
  owns = false;
  /** The future name of an unpublished atomic file; otherwise undefined. */
  target: Place | undefined;
  /** Whether a write at a position has failed, so that an atomic file is not published. */
  lacksBytes = false;
  renaming = false;
  /** Whether it is being sealed, so that writes are rejected at any moment. */
  sealing = false;
  /** Whether a stream closes it after a failure. */
  fragile = false;
  /** Whether a close has begun, so that it may be closed at any moment. */
  closing = false;

  readonly tracked: TrackedFile;
  /** Writes of its streams begin and end at a multiple of it. */
  readonly block: number;

  /** With `appends` every write goes to the end of the file, and no other call changes the file meanwhile. */
  constructor(
    readonly session: Session,
    readonly file: DmaFile,
    readonly readable = true,
    public writable = true,
    readonly appends = false,
  ) {
    const { world, module, oracle } = session;
    this.tracked = oracle.track(world.description(module.descriptorNumber(file)).file!);
    this.block = file.direct && !world.kind.server ? file.alignment.offset : 1;
  }

  call<T>(name: string, promise: Promise<T>, call: Call<T> = {}): Promise<void> {
    return this.session.call(name, promise, { handles: [this], ...call });
  }

  /** Whether a call may change the file now. */
  get isChangeable(): boolean {
    const { tracked, writable, appends, closing, session } = this;
    return writable && !appends && !closing && !session.isOthers(tracked, this) &&
      tracked.emptying === 0;
  }

  get isShared(): boolean {
    return this.session.handles.some((each) => each !== this && each.tracked === this.tracked);
  }

  /** Whether no other call is about to change the future name of an atomic file. */
  get mayPublish(): boolean {
    const { target, session } = this;
    return target === undefined || session.oracle.names.begunAt(target) !== undefined;
  }

  /** The current name of the file, set by any call. A hidden name does not count. */
  get place(): Place | undefined {
    const { tracked: { view }, session: { world: { tree } } } = this;
    const names = [...tree.listing()];
    return names.find(([place, inode]) => inode === view.inode && !isTemporary(place))?.[0];
  }

  /** Begins a sync of the file's name. Call the result after its success. */
  beginNameSync(): () => void {
    const { place, session: { oracle: { names } } } = this;
    const begun = place === undefined ? undefined : names.begunAt(place);
    return () => begun !== undefined && this.promiseName(place!, begun);
  }

  /** The promise of a sync of a name, if no other call has begun to change it. */
  promiseName(place: Place, begun: number): void {
    const { world, oracle: { names } } = this.session;
    // A directory without read permission cannot be synced (docs/durability.md).
    if (world.faults.happened.some(({ errno }) => errno === Errno.EACCES)) return;
    const { view, namer } = this.tracked;
    const isSame = names.begunAt(place) === begun && namer === this.file;
    if (isSame && world.tree.listing().get(place) === view.inode) names.promise(place);
  }

  /** Frees the slot of a handle that is closed, or must not be used any more. */
  leave(): void {
    this.closing = true;
    for (const slot of this.session.slots) if (slot.handle === this) slot.handle = undefined;
  }

  /** Whether it may be closed or sealed already. */
  get mayBeShut(): boolean {
    return this.closing || this.sealing || (this.fragile && this.session.isFaulty);
  }
}

export class OpenWriter {
  /** The file that a pipe into it reads. The writer fails with that file's error. */
  source: Handle | undefined;
  /** Its first failure, or the reason of the abort that has ended it. */
  endedBy: unknown;
  /** Whether a pipe with preventClose has ended well. */
  keptByPipe = false;

  constructor(
    readonly slot: Slot,
    readonly handle: Handle,
    readonly stream: DmaStreamWriter,
    readonly oracle: WriterOracle,
    readonly memory: MemoryUser,
  ) {}

  /** Watches a call of the writer, which rejects with the writer's failure. */
  call<T>(name: string, promise: Promise<T>, call: Call<T> = {}): Promise<void> {
    const failed = (error: unknown) => this.noteFailure(error);
    return this.handle.session.call(name, promise, { ...this.excuse, failed, ...call });
  }

  get excuse(): Excuse {
    const { handle, source, oracle } = this;
    return { handles: source ? [handle, source] : [handle], writer: oracle };
  }

  /** Checks the error of a call: the writer's failure, or the stream's refusal of the call. */
  noteFailure(error: unknown): void {
    const isRefusal = error instanceof TypeError && !("errno" in error);
    if (!isRefusal) this.oracle.failed(error);
  }

  /** Its running calls. They keep the stream from being collected. */
  get calls(): Pending[] {
    return [...this.handle.session.pending].filter(({ writer }) => writer === this.oracle);
  }

  drop(): void {
    const { session } = this.handle;
    this.oracle.ending = true;
    this.slot.writer = undefined;
    session.dropped.push(this);
    session.oracle.hasDropped = true;
    collect(this.stream);
  }
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
  over: boolean;
  /** Whether the program closes it, so that waiting reads get no bytes. */
  closing: boolean;
}

/** A place for one file of a program. */
export class Slot {
  handle: Handle | undefined;
  writer: OpenWriter | undefined;
  /** The last writer that has ended. */
  ended: OpenWriter | undefined;
  reader: OpenReader | undefined;
  opening = false;

  constructor(readonly session: Session) {}
}

export type Over = Promise<void> | void;

/** The reasons for which a call may be rejected. */
export interface Excuse {
  readonly handles?: readonly Handle[];
  readonly writer?: WriterOracle | undefined;
  /** The error numbers that are possible without a fault. */
  readonly errnos?: readonly number[];
  /** Whether the program may have used the module wrongly. */
  readonly misuse?: boolean;
}

/** What is expected of a call. */
export interface Call<T> extends Excuse {
  /** The maximum memory for its data. */
  readonly memory?: number;
  /** Called first when it has settled. */
  readonly over?: (succeeded: boolean) => void;
  readonly done?: (value: T) => void;
  readonly failed?: (error: unknown) => void;
}

interface Pending {
  readonly name: string;
  readonly promise: Promise<unknown>;
  readonly writer: WriterOracle | undefined;
}

/** The errors of missing features. */
const MISSING: readonly number[] = [Errno.EISDIR, Errno.EOPNOTSUPP, Errno.EINVAL];

export class Session {
  readonly slots: readonly Slot[];
  readonly pending: Set<Pending> = new Set();
  /** Errors of the program itself: reasons of aborts, failures of sources. */
  readonly ownErrors: Set<unknown> = new Set();
  readonly #paths = new Set<string>([ROOT]);
  /** The names at which a running open truncates a file. Another open might create or use it before. */
  readonly emptying: Set<Place> = new Set();
  /** Dropped writers, whose end is not reported. */
  readonly dropped: OpenWriter[] = [];
  /** Whether another process has moved files, so that the module has outdated names. */
  movedByOthers = false;
  /** Called when nothing is in flight and no call waits, if set. */
  idle: (() => void) | undefined;
  /** Whether the process is ending, so that an unhandled rejection ends it with that error. */
  endsNow = false;

  constructor(
    readonly world: SimulatedKernel,
    readonly oracle: Oracle,
    readonly module: ModuleUnderTest,
    slots: number,
    readonly trace?: (line: string) => void,
  ) {
    this.slots = Array.from({ length: slots }, () => new Slot(this));
  }

  get handles(): Handle[] {
    return this.slots.flatMap(({ handle }) => handle ?? []);
  }

  path({ directory, name, relative }: Path): string {
    const { tree } = this.world;
    const folder = `${ROOT}/${DIRECTORIES[directory]}`;
    const here = tree.pathOf(tree.workingDirectory);
    const way = here === folder ? "" : `${here === ROOT ? "" : "../"}${DIRECTORIES[directory]}/`;
    const path = `${relative ? way : `${folder}/`}${name}`;
    this.#paths.add(path);
    return path;
  }

  ownError(text: string): Error {
    const error = new Error(text);
    this.ownErrors.add(error);
    return error;
  }

  /** Watches a call. Resolves when it has settled and its end was checked. */
  call<T>(name: string, promise: Promise<T>, call: Call<T>): Promise<void> {
    const { memory: bound = 0, over, done, failed, writer } = call;
    const memory = { bound };
    const pending = { name, promise, writer };
    this.pending.add(pending);
    this.oracle.memoryUsers.add(memory);
    const settle = (succeeded: boolean, end: string, check: () => void) => {
      this.pending.delete(pending);
      this.oracle.memoryUsers.delete(memory);
      this.oracle.guard(() => {
        over?.(succeeded);
        this.trace?.(`  ${name} ${end}`);
        check();
      });
    };
    return promise.then(
      (value) => settle(true, `resolves to ${shown(value)}`, () => done?.(value)),
      (error) =>
        settle(false, `rejects with ${error}`, () => {
          this.explain(name, call, error);
          failed?.(error);
        }),
    );
  }

  /** "errors": a rejected call reports the actual failure. */
  explain(name: string, excuse: Excuse, error: unknown): void {
    if (this.#isRight(excuse, error) && this.#hasForm(error)) return;
    violate("errors", `${name} rejects with ${error}`);
  }

  /** Errors of the kernel have Deno's form, with the operation and a path of the program. */
  #hasForm(error: unknown): boolean {
    const { errno, code, op, path, message } = error as Partial<DmaError>;
    if (errno === undefined) return true;
    return code !== undefined && this.#paths.has(path!) &&
      message!.includes(`(os error ${errno}): ${op} '${path}'`);
  }

  #isRight({ handles = [], writer, errnos, misuse }: Excuse, error: unknown): boolean {
    if (this.ownErrors.has(error) || writer?.failure?.reason === error) return true;
    const { faults, kind } = this.world;
    const { errno } = error as { errno?: number };
    if (errno === undefined) {
      if (String(error).includes("Cannot map") && faults.hit("acquire")) return true;
      return misuse === true && (error instanceof TypeError || error instanceof RangeError);
    }
    return errnos?.includes(errno) ||
      (errno === Errno.EBADF && handles.some(({ mayBeShut }) => mayBeShut)) ||
      faults.happened.some((fault) => fault.errno === errno) ||
      // A transfer that is shortened repeatedly fails.
      (errno === Errno.EIO && faults.shortened > 0) ||
      (kind.lacks.size > 0 && MISSING.includes(errno));
  }

  /** Whether another handle created or truncated the file, and so does not expect bytes of others. */
  isOthers(tracked: TrackedFile, handle?: Handle): boolean {
    const { expected, mayLookReserved, world, writers } = tracked;
    if (handle && !world.kind.server) return false;
    // On a server its next writer cuts off bytes in space that it has reserved (docs/limits.md).
    const isReserved = handle !== undefined && writers.size === 0 && mayLookReserved;
    return (expected.end === 0 || isReserved) &&
      this.handles.some((other) => other.tracked === tracked && other.owns && other !== handle);
  }

  /** Whether a fault has occurred, or a feature is missing. */
  get isFaulty(): boolean {
    const { faults, kind } = this.world;
    return faults.count > 0 || kind.lacks.size > 0;
  }

  /** Whether every cut at an end succeeds. */
  get cutsAreSure(): boolean {
    return !this.world.faults.hit("truncate");
  }
}

function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  return typeof value === "object" ? "an object" : String(value);
}
