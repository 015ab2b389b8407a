// Steps that write to a file by a stream.

import type { DmaStreamWriterOptions } from "../../../mod.ts";
import { Violation } from "../oracle/promises.ts";
import { LARGEST_BLOCK, type TrackedFile } from "../oracle/tracked_file.ts";
import { WriterOracle } from "../oracle/writer_oracle.ts";
import { bytesOf } from "./bytes.ts";
import { mayPublish, publish } from "./file_steps.ts";
import type { Handle, OpenWriter, Session, Slot, StandingName } from "./session.ts";
import type { Action, WriterChoice, WriterEnding } from "./steps.ts";

type Of<Name extends Action["do"]> = Extract<Action, { do: Name }>;

const ETIMEDOUT = 110;

/** Puts a writer on the file of a slot. */
export function openWriter(session: Session, slot: Slot, wanted: WriterChoice): Promise<void> {
  const { handle } = slot;
  if (!handle || handle.closing || handle.probed || !handle.writable) return Promise.resolve();
  const { tracked } = handle;
  if (slot.writer?.handle === handle && !slot.writer.oracle.end) {
    return openSecond(session, handle);
  }
  const isTaken = tracked.writers.size + tracked.claims.size > 0;
  const isOverwritten = handle.owns && !handle.hasWritten && tracked.expected.end > 0;
  const isOthers = session.isOthers(tracked, handle) || session.isEmptied(tracked);
  if (isTaken || isOthers || isOverwritten) return Promise.resolve();
  const { appends } = handle;
  // Nobody may make the file longer while it is appended to: where a chunk stands nobody could tell.
  if (appends && tracked.truncates.size + tracked.reserves.size > 0) return Promise.resolve();
  const choice = appends ? appending(wanted) : wanted;
  const facts = {
    append: appends || choice.place === "append",
    appendsAlways: appends,
    position: choice.place === "position" ? choice.position : 0,
    preallocate: !appends && (choice.preallocate || choice.place === "default"),
    sizeHint: appends ? 0 : choice.sizeHint,
    syncOnClose: choice.syncOnClose || choice.place === "default",
    closeFile: choice.closeFile || choice.place === "default",
  };
  const stream = choice.place === "default"
    ? handle.file.writable
    : new session.module.DmaStreamWriter(handle.file, optionsOf(choice));
  const { bufferSize, writeBehind } = stream;
  const oracle = new WriterOracle(stream, tracked, facts, handle.block);
  const shares = choice.place === "default" ||
    (choice.bufferSize === undefined && choice.writeBehind === undefined);
  // A buffer more, the copy of a tail, and a block that is read.
  const bound = (writeBehind + 1) * bufferSize + 2 * LARGEST_BLOCK;
  const memory = { bound, shares };
  session.oracle.memoryUsers.add(memory);
  tracked.begin(oracle);
  if (facts.closeFile) handle.fragile = true;
  const writer = { stream, oracle, handle, memory, locked: false };
  slot.writer = writer;
  if (!choice.waits) return Promise.resolve();
  return find(session, writer);
}

/** The same where every write goes to the end: there is no other place to start. */
function appending(choice: WriterChoice): WriterChoice {
  return choice.place === "position" ? { ...choice, place: "start" } : choice;
}

function optionsOf(choice: WriterChoice): DmaStreamWriterOptions {
  const { place, position, bufferSize, writeBehind } = choice;
  const { preallocate, sizeHint, syncOnClose, closeFile } = choice;
  return {
    ...(place === "append" ? { append: true } : place === "position" ? { position } : {}),
    ...(bufferSize === undefined ? {} : { bufferSize }),
    ...(writeBehind === undefined ? {} : { writeBehind }),
    preallocate,
    sizeHint,
    syncOnClose,
    closeFile,
  };
}

/** A file has one writer at a time, unless that has failed without anybody knowing. */
async function openSecond(session: Session, handle: Handle): Promise<void> {
  let second: WritableStream;
  try {
    second = new session.module.DmaStreamWriter(handle.file, { closeFile: false });
  } catch (error) {
    session.oracle.guard(() => session.explain({ name: "a writer", misuse: true, handle }, error));
    return;
  }
  handle.probed = true;
  // An atomic file whose writer is given up gets no name.
  handle.target = undefined;
  await second.abort().catch(() => {});
  handle.probed = false;
}

/** Resolves when a writer knows where it starts. */
async function find(session: Session, writer: OpenWriter): Promise<void> {
  const { stream, oracle } = writer;
  await session.call({
    name: "open writer",
    promise: stream.flushAligned(),
    ...excuseOf(writer),
    done: () => oracle.opened(),
    failed: (error) => noteFailure(writer, error),
  });
}

function excuseOf({ handle, oracle }: OpenWriter) {
  return { handle, writer: oracle };
}

/** A call was told of a failure: the writer's, or that the stream does not take the call. */
function noteFailure({ oracle }: OpenWriter, error: unknown): void {
  const isRefusal = error instanceof TypeError && !("errno" in error);
  if (isRefusal && (oracle.ending || oracle.piped)) return;
  oracle.failed(error);
}

// ---- chunks -------------------------------------------------------------------------------------------------------

/** Writes a chunk, or several. */
export async function write(session: Session, slot: Slot, action: Of<"write">): Promise<void> {
  const { writer } = slot;
  if (!writer || writer.oracle.end) return;
  const { stream, oracle, handle } = writer;
  const { how, seed } = action;
  const isShut = oracle.ending || stream.locked;
  if (isShut) return await refused(session, writer, stream.write(new Uint8Array(3)));
  // A pipe is over, and nobody was told yet.
  if (writer.locked) return;
  if (!oracle.isOpened && (oracle.wall < Infinity || how === "buffer")) return;
  const room = Math.min(action.size, oracle.room);
  if (how === "buffer") {
    const length = handle.file.alignUp(Math.max(1, room));
    if (length > oracle.room) return;
    const buffer = handle.file.allocBuffer(length);
    buffer.bytes.set(bytesOf(seed, length));
    oracle.given.append(buffer.bytes);
    return await give(session, writer, stream.writeBuffer(buffer));
  }
  const bytes = bytesOf(seed, room);
  oracle.given.append(bytes);
  if (how === "lock") return await writeUnderLock(session, writer, bytes, seed);
  const cuts = how === "burst" ? [0, room >> 3, room >> 1, room] : [0, room];
  const writes = cuts.slice(1).map((cut, index) => {
    const { chunk, whole } = chunkOf(bytes.subarray(cuts[index], cut), seed + index);
    // Whoever writes may do anything with the chunk afterwards.
    return give(session, writer, stream.write(chunk).finally(() => whole.fill(0)));
  });
  await Promise.all(writes);
}

/** Bytes as a chunk of some kind, and the memory that it stands in. */
function chunkOf(
  bytes: Uint8Array,
  kind: number,
): { chunk: BufferSource; whole: Uint8Array<ArrayBuffer> } {
  const { length } = bytes;
  switch (kind % 5) {
    case 0: {
      const whole = new Uint8Array(length + 7);
      whole.set(bytes, 3);
      return { chunk: whole.subarray(3, 3 + length), whole };
    }
    case 1: {
      const whole = new Uint8Array(bytes);
      return { chunk: whole.buffer, whole };
    }
    case 2: {
      const whole = new Uint8Array(bytes);
      return { chunk: new DataView(whole.buffer), whole };
    }
    default: {
      const whole = new Uint8Array(bytes);
      return { chunk: whole, whole };
    }
  }
}

function give(session: Session, writer: OpenWriter, promise: Promise<void>): Promise<void> {
  return session.call({
    name: "write",
    promise,
    ...excuseOf(writer),
    // An end may come between the chunk and its turn.
    misuse: writer.oracle.ending,
    failed: (error) => noteFailure(writer, error),
  });
}

/** A call that a stream refuses that is locked, or at its end. */
function refused(session: Session, writer: OpenWriter, promise: Promise<void>): Promise<void> {
  return session.call({
    name: "refused write",
    promise,
    ...excuseOf(writer),
    misuse: true,
    done: () => {
      throw new Violation("errors", "a stream that is locked, or ends, took a chunk");
    },
  });
}

async function writeUnderLock(
  session: Session,
  writer: OpenWriter,
  bytes: Uint8Array,
  seed: number,
): Promise<void> {
  const lock = writer.stream.getWriter();
  lock.closed.catch(() => {});
  writer.locked = true;
  const half = seed % 2 === 0 ? bytes.length >> 1 : 0;
  const writes = [bytes.subarray(0, half), bytes.subarray(half)].map((part, index) => {
    const { chunk, whole } = chunkOf(part, seed + index);
    return give(session, writer, lock.write(chunk).finally(() => whole.fill(0)));
  });
  const release = () => {
    lock.releaseLock();
    writer.locked = false;
  };
  if (seed % 3 === 0) release();
  await Promise.all(writes);
  if (seed % 3 !== 0) release();
}

/** What is no chunk is refused alone, and nothing else is lost. */
export function writeNonsense(session: Session, slot: Slot): Promise<void> {
  const { writer } = slot;
  if (!writer || writer.oracle.end) return Promise.resolve();
  const nonsense = "nonsense" as unknown as ArrayBuffer;
  return refused(session, writer, writer.stream.write(nonsense));
}

// ---- flush and sync -----------------------------------------------------------------------------------------------

/** Waits for what was written to reach the file. */
export function flush(session: Session, slot: Slot, { tail }: Of<"flush">): Promise<void> {
  const { writer } = slot;
  if (!writer) return Promise.resolve();
  const { stream, oracle } = writer;
  const least = leastOf(writer, tail);
  return session.call({
    name: "flush",
    promise: stream.flushAligned({ tail }),
    ...excuseOf(writer),
    misuse: oracle.ending,
    done: (position) => {
      oracle.opened();
      checkPosition("writer 2", writer, position, least());
    },
    failed: (error) => noteFailure(writer, error),
  });
}

/** Makes what was written durable. */
export function sync(session: Session, slot: Slot, { tail }: Of<"sync">): Promise<void> {
  const { writer } = slot;
  if (!writer) return Promise.resolve();
  const { stream, oracle, handle } = writer;
  const { oracle: contract } = session;
  const least = leastOf(writer, tail);
  const since = contract.now();
  const name = session.standingName(handle);
  return session.call({
    name: "sync",
    promise: stream.sync({ tail }),
    ...excuseOf(writer),
    misuse: oracle.ending || oracle.piped,
    done: (position) => {
      oracle.opened();
      checkPosition("sync covers the given", writer, position, least());
      const certain = oracle.file.certainSince(since, true);
      oracle.file.promise(certain.within(oracle.start, position));
      session.promiseName(handle, name);
      contract.cutThrice();
    },
    failed: (error) => noteFailure(writer, error),
  });
}

/** A truncate that waits for a call of the program begins only when the program goes on. */
export function waitsForProgram({ claims, reserves }: TrackedFile): boolean {
  return claims.size + reserves.size > 0;
}

/** Blocks until what was written is in the file. */
export function flushNow(session: Session, slot: Slot, { durable }: Of<"flush now">): void {
  const { writer } = slot;
  if (!writer) return;
  const { stream, oracle, handle } = writer;
  const { oracle: contract } = session;
  const since = contract.now();
  const name = session.standingName(handle);
  const errnos = waitsForProgram(oracle.file) ? [ETIMEDOUT] : [];
  try {
    stream.flushSync({ durable });
  } catch (error) {
    const misuse = oracle.ending || oracle.piped;
    const excuse = { ...excuseOf(writer), errnos, misuse };
    return contract.guard(() => session.explain({ name: "flushSync", ...excuse }, error));
  }
  contract.guard(() => {
    checkFlushed("writer 2", writer);
    if (!durable) return;
    const certain = oracle.file.certainSince(since, true);
    oracle.file.promise(certain.within(oracle.start, oracle.flushed));
    session.promiseName(handle, name);
    contract.cutThrice();
  });
}

/** Everything that was given must be in the file; of a pipe only it knows how much that is. */
export function checkFlushed(promise: "writer 2" | "normal end", { oracle }: OpenWriter): void {
  oracle.opened();
  oracle.poll();
  if (oracle.piped || oracle.flushed === oracle.givenEnd) return;
  throw new Violation(promise, `${oracle.flushed} is flushed of ${oracle.givenEnd} given`);
}

/** The position that a flush or sync must come to. Where it starts may not be known yet. */
function leastOf({ oracle }: OpenWriter, tail: boolean): () => number {
  const { flushed, piped, given: { length } } = oracle;
  return () => tail && !piped && oracle.isOpened ? oracle.start + length : flushed;
}

function checkPosition(
  promise: "writer 2" | "sync covers the given",
  { stream, oracle }: OpenWriter,
  position: number,
  least: number,
): void {
  oracle.poll();
  if (position >= least && position <= stream.currentFlushedPos) return;
  throw new Violation(
    promise,
    `${position}, at least ${least} is right, flushed is ${stream.currentFlushedPos}`,
  );
}

// ---- the end ------------------------------------------------------------------------------------------------------

/** Ends a writer in one of the ways that there are. */
export async function endWriter(session: Session, slot: Slot, how: WriterEnding): Promise<void> {
  const { writer } = slot;
  if (!writer || writer.oracle.end) return;
  if (how === "abort" || how === "abort lock") return await abort(session, slot, writer, how);
  if (writer.oracle.ending || writer.locked) return;
  if (how === "drop") {
    return session.isUsed(writer.oracle) ? undefined : drop(session, slot, writer);
  }
  await close(session, slot, writer, how);
}

function drop(session: Session, slot: Slot, writer: OpenWriter): void {
  writer.oracle.ending = true;
  writer.handle.target = undefined;
  slot.writer = undefined;
  session.dropped.push(writer);
  if (writer.oracle.facts.closeFile) session.forget(writer.handle);
  session.oracle.hasDropped = true;
  session.finalizers.collect(writer.stream);
}

async function close(
  session: Session,
  slot: Slot,
  writer: OpenWriter,
  how: "close" | "lock" | "dispose" | "seal",
): Promise<void> {
  const { stream, oracle, handle } = writer;
  const closes = oracle.facts.closeFile && how !== "seal";
  const publishes = handle.target !== undefined && (closes || how === "seal");
  const since = session.oracle.now();
  const name = session.standingName(handle);
  if (publishes && !mayPublish(session, handle)) return;
  oracle.ending = oracle.closes = true;
  if (closes) handle.closing = true;
  if (how === "seal") handle.sealing = true;
  const publication = publishes ? publish(session, handle) : undefined;
  const closing = how === "seal"
    ? stream.seal().then(() => {})
    : how === "dispose"
    ? stream[Symbol.asyncDispose]()
    : how === "lock"
    ? closeUnderLock(writer)
    : stream.close();
  await session.call({
    name: how,
    promise: closing,
    ...excuseOf(writer),
    done: () => {
      // A writer that failed before, and somebody was told: disposing has nothing to add.
      if (how === "dispose" && oracle.failure) {
        publication?.(false);
        return giveUp(session, slot, writer);
      }
      finishClose(session, slot, writer, { since, name, closes, publication });
      if (how === "seal") handle.writable = false;
    },
    failed: (error) => {
      if (oracle.closeStands && oracle.reasons.has(error)) {
        throw new Violation("close is not undone", "it rejects with the reason of an abort");
      }
      noteFailure(writer, error);
      publication?.(false);
      giveUp(session, slot, writer);
    },
  });
}

/** What is to be true when a close has resolved. */
export interface Closing {
  readonly since: number;
  /** The name that the file had when the close began. */
  readonly name: StandingName | undefined;
  readonly closes: boolean;
  readonly publication: ((succeeded: boolean) => void) | undefined;
}

/** A close has resolved. */
export function finishClose(
  session: Session,
  slot: Slot,
  writer: OpenWriter,
  { since, name, closes, publication }: Closing,
): void {
  const { oracle } = writer;
  oracle.closed();
  if (oracle.facts.syncOnClose || publication) promiseAll(session, writer, since, name);
  publication?.(true);
  leave(session, slot, writer, closes);
  session.oracle.cutThrice();
}

async function closeUnderLock(writer: OpenWriter): Promise<void> {
  const lock = writer.stream.getWriter();
  lock.closed.catch(() => {});
  writer.locked = true;
  try {
    await lock.close();
  } finally {
    lock.releaseLock();
    writer.locked = false;
  }
}

/** "writer 4": everything survives a power cut, at its exact length, under its name. */
function promiseAll(
  session: Session,
  { oracle: { file }, oracle, handle }: OpenWriter,
  since: number,
  name: StandingName | undefined,
): void {
  const { expected, view } = file;
  session.promiseName(handle, name);
  // To a file that this handle has done nothing to there is nothing to sync.
  if (oracle.given.length === 0) return;
  const certain = file.certainSince(since, true);
  const { unsyncedPastWriters } = file;
  for (const { from, to } of unsyncedPastWriters) certain.remove(from, to);
  const isWhole = expected.end === view.size && file.isLeftAloneSince(since) &&
    unsyncedPastWriters.length === 0;
  file.promise(certain, isWhole ? expected.end : undefined);
}

/** A writer has failed, or was given up. An atomic file gets no name any more. */
export function giveUp(session: Session, slot: Slot, writer: OpenWriter): void {
  const { oracle, handle } = writer;
  oracle.gaveUp(session.cutsAreSure);
  handle.target = undefined;
  session.unhide(handle);
  leave(session, slot, writer, oracle.facts.closeFile);
}

/** A writer has ended. */
export function leave(session: Session, slot: Slot, writer: OpenWriter, closes: boolean): void {
  session.oracle.memoryUsers.delete(writer.memory);
  if (writer.oracle.flushed > 0) writer.handle.hasWritten = true;
  if (slot.writer === writer) slot.writer = undefined;
  if (closes) session.leave(writer.handle);
}

async function abort(
  session: Session,
  slot: Slot,
  writer: OpenWriter,
  how: "abort" | "abort lock",
): Promise<void> {
  const { stream, oracle, handle } = writer;
  const wasEnding = oracle.ending;
  if (writer.locked || (how === "abort lock" && wasEnding)) return;
  oracle.ending = true;
  if (oracle.facts.closeFile && !wasEnding) handle.closing = true;
  // Where something was taken the stream has begun, so that it closes at once.
  const { currentPos, nextPos } = stream;
  const isTaken = oracle.isOpened && currentPos > oracle.start && nextPos === currentPos;
  if (wasEnding && oracle.closes && isTaken && !oracle.failure) oracle.closeStands = true;
  const reason = session.ownError("aborted");
  oracle.reasons.add(reason);
  const lock = how === "abort lock" ? stream.getWriter() : undefined;
  lock?.closed.catch(() => {});
  if (lock) writer.locked = true;
  const over = () => {
    lock?.releaseLock();
    if (lock) writer.locked = false;
    // A close that had begun says itself how it ended.
    if (!wasEnding) giveUp(session, slot, writer);
  };
  await session.call({
    name: how,
    promise: lock ? lock.abort(reason) : stream.abort(reason),
    ...excuseOf(writer),
    done: over,
    failed: over,
  });
}
