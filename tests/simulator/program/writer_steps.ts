// Steps that write to a file by a stream.

import { Errno } from "../../../src/engine/linux.ts";
import type { DmaStreamWriter } from "../../../mod.ts";
import { Violation } from "../oracle/promises.ts";
import { LARGEST_BLOCK } from "../oracle/claim.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import { WriterOracle } from "../oracle/writer_oracle.ts";
import { bytesOf } from "./bytes.ts";
import type { Call, Handle, OpenWriter, Over, Session, Slot, StandingName } from "./session.ts";
import type { Random } from "../random.ts";
import { nothing, onFile, place, size, SIZES_OF_BUFFERS, step } from "./step.ts";

/** The default options, which `DmaFile.writable` uses. */
const DEFAULTS = { preallocate: true, sizeHint: 0, syncOnClose: true, closeFile: true };

function drawWriter(random: Random) {
  const sizes = { bufferSize: random.pick(SIZES_OF_BUFFERS), writeBehind: random.between(1, 4) };
  return {
    place: random.weighted([[5, "start"], [2, "position"], [3, "append"], [1, "default"]]),
    position: random.chance(0.1) ? (9 << 20) + random.below(5000) : place(random),
    options: {
      ...(random.chance(0.1) ? {} : sizes),
      preallocate: random.chance(0.6),
      sizeHint: random.weighted([[3, 0], [1, 5000], [1, 100_000]]),
      syncOnClose: random.chance(0.8),
      closeFile: random.chance(0.5),
    },
    /** Waits until the writer knows its start. */
    waits: random.chance(0.5),
  };
}

function openWriter(
  session: Session,
  handle: Handle,
  { place, position, options: chosen, waits }: ReturnType<typeof drawWriter>,
  slot: Slot,
): Over {
  if (handle.closing || handle.probed || !handle.writable) return;
  const { tracked } = handle;
  if (slot.writer?.handle === handle && !slot.writer.oracle.end) {
    return openSecond(session, handle);
  }
  const isTaken = tracked.writers.size + tracked.claims.size > 0;
  const isOthers = session.isOthers(tracked, handle) || session.oracle.isEmptied(tracked.view);
  if (isTaken || isOthers) return;
  const { appends } = handle;
  // No other call may change the length of a file that is appended to or that two handles have open: the position of a
  // chunk, or the length, would not be known.
  const isResized = tracked.truncates.size + tracked.reserves.size > 0;
  if (isResized && (appends || session.isShared(handle))) return;
  const options = place === "default" ? DEFAULTS : chosen;
  // If every write goes to the end, there is no other start.
  const start = place === "position" && !appends ? { position } : { append: place === "append" };
  const stream = place === "default"
    ? handle.file.writable
    : new session.module.DmaStreamWriter(handle.file, { ...options, ...start });
  const facts = {
    append: appends || place === "append",
    appendsAlways: appends,
    position: start.position ?? 0,
    preallocate: !appends && options.preallocate,
    sizeHint: appends ? 0 : options.sizeHint,
    syncOnClose: options.syncOnClose,
    closeFile: options.closeFile,
  };
  // Another program's failures are none of this one's.
  stream.closed.catch(() => {});
  const { bufferSize, writeBehind } = stream;
  const oracle = new WriterOracle(stream, tracked, facts, handle.block);
  const shares = !("bufferSize" in options);
  // One more buffer, and blocks that are read.
  const bound = (writeBehind + 1) * bufferSize + 2 * LARGEST_BLOCK;
  const memory = { bound, shares };
  session.oracle.memoryUsers.add(memory);
  tracked.begin(oracle);
  if (facts.closeFile) handle.fragile = true;
  const writer = { slot, stream, oracle, handle, memory };
  slot.writer = writer;
  if (waits) return find(session, writer);
}

/** A file has one writer at a time. The first one may have ended without a report yet. */
async function openSecond(session: Session, handle: Handle): Promise<void> {
  let second: DmaStreamWriter;
  try {
    second = new session.module.DmaStreamWriter(handle.file, { closeFile: false });
  } catch (error) {
    session.oracle.guard(() => session.explain({ name: "a writer", misuse: true, handle }, error));
    return;
  }
  handle.probed = true;
  // An atomic file whose writer is aborted is not published.
  handle.target = undefined;
  await second.abort().catch(() => {});
  handle.probed = false;
}

/** Resolves when a writer knows its start. */
async function find(session: Session, writer: OpenWriter): Promise<void> {
  const { stream, oracle } = writer;
  const promise = stream.flushAligned();
  await callOf(session, writer, { name: "open writer", promise, done: () => oracle.opened() });
}

/** Watches a call of a writer, which rejects with the writer's failure. */
export function callOf<T>(
  session: Session,
  writer: OpenWriter,
  call: Omit<Call<T>, "handle" | "source" | "writer">,
): Promise<void> {
  const { handle, source, oracle } = writer;
  const failed = (error: unknown) => noteFailure(writer, error);
  return session.call({ handle, source, writer: oracle, failed, ...call });
}

/** Checks the error of a call: the writer's failure, or the stream's refusal of the call. */
export function noteFailure({ oracle }: OpenWriter, error: unknown): void {
  const isRefusal = error instanceof TypeError && !("errno" in error);
  if (!isRefusal) oracle.failed(error);
}

// ---- chunks -------------------------------------------------------------------------------------------------------

function drawChunk(random: Random) {
  return {
    size: size(random),
    how: random.weighted([[6, "call"], [2, "lock"], [1, "buffer"], [2, "burst"]]),
    seed: random.seed(),
  };
}

async function write(
  session: Session,
  slot: Slot,
  action: ReturnType<typeof drawChunk>,
): Promise<void> {
  const { writer, ended } = slot;
  if (!writer && ended) return await refused(session, ended, ended.stream.write(bytesOf(1, 3)));
  if (!writer || writer.oracle.end) return;
  const { stream, oracle, handle } = writer;
  const { how, seed } = action;
  const isShut = oracle.ending || stream.locked;
  if (isShut) return await refused(session, writer, stream.write(new Uint8Array(3)));
  // A pipe has ended, and its end was not reported yet.
  if (oracle.piped) return;
  if (!oracle.isOpened && oracle.wall < Infinity) return;
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
    // The caller may change the chunk afterwards.
    return give(session, writer, stream.write(chunk).finally(() => whole.fill(0)));
  });
  await Promise.all(writes);
}

/** Bytes as a chunk of some type, and its memory. */
function chunkOf(bytes: Uint8Array, seed: number) {
  const kind = seed % 5;
  const offset = kind === 0 ? 3 : 0;
  const whole = new Uint8Array(bytes.length + 2 * offset);
  whole.set(bytes, offset);
  const chunk = kind === 1
    ? whole.buffer
    : kind === 2
    ? new DataView(whole.buffer)
    : whole.subarray(offset, offset + bytes.length);
  return { chunk, whole };
}

function give(session: Session, writer: OpenWriter, promise: Promise<void>): Promise<void> {
  // An end may come between the chunk and its turn.
  return callOf(session, writer, { name: "write", promise, misuse: writer.oracle.ending });
}

/** A call to a stream that is locked or has ended, which is rejected. */
function refused(session: Session, writer: OpenWriter, promise: Promise<void>): Promise<void> {
  return callOf(session, writer, {
    name: "refused write",
    promise,
    misuse: true,
    done: () => {
      throw new Violation("errors", "a stream that is locked, or ends, took a chunk");
    },
  });
}

export function takeLock(stream: DmaStreamWriter) {
  const lock = stream.getWriter();
  lock.closed.catch(() => {});
  return lock;
}

async function writeUnderLock(
  session: Session,
  writer: OpenWriter,
  bytes: Uint8Array,
  seed: number,
): Promise<void> {
  const lock = takeLock(writer.stream);
  const half = seed % 2 === 0 ? bytes.length >> 1 : 0;
  const writes = [bytes.subarray(0, half), bytes.subarray(half)].map((part, index) => {
    const { chunk, whole } = chunkOf(part, seed + index);
    return give(session, writer, lock.write(chunk).finally(() => whole.fill(0)));
  });
  if (seed % 3 === 0) lock.releaseLock();
  await Promise.all(writes);
  lock.releaseLock();
}

/** A value that is not a chunk is rejected, and no other chunk is lost. */
function writeNonsense(session: Session, slot: Slot): Over {
  const { writer } = slot;
  if (!writer || writer.oracle.end) return;
  const nonsense = "nonsense" as unknown as ArrayBuffer;
  return refused(session, writer, writer.stream.write(nonsense));
}

// ---- flush and sync -----------------------------------------------------------------------------------------------

/** Waits until the written bytes are in the file, and with `durable` synced. */
function flush(
  session: Session,
  slot: Slot,
  { tail }: { tail: boolean },
  durable: boolean,
): Over {
  const writer = slot.writer ?? slot.ended;
  if (!writer) return;
  const isOver = writer.oracle.end !== undefined;
  const { stream, oracle, handle } = writer;
  const least = leastOf(writer, tail);
  const since = session.oracle.now();
  const name = session.standingName(handle);
  return callOf(session, writer, {
    name: durable ? "sync" : "flush",
    promise: durable ? stream.sync({ tail }) : stream.flushAligned({ tail }),
    misuse: oracle.ending || (durable && oracle.piped),
    done: (position) => {
      if (isOver) return;
      oracle.opened();
      checkPosition(durable ? "sync covers the given" : "writer 2", writer, position, least());
      if (durable) promiseUpTo(session, writer, position, since, name);
    },
  });
}

/** "writer 10": a sync that began at a moment has made a writer's bytes durable, up to a position. */
function promiseUpTo(
  session: Session,
  { oracle, handle }: OpenWriter,
  position: number,
  since: number,
  name: StandingName | undefined,
): void {
  const certain = oracle.file.certainSince(since, true);
  oracle.file.promise(certain.within(oracle.start, position));
  session.promiseName(handle, name);
  session.oracle.cutThrice();
}

/** A truncate that waits for a call of the program begins only when the program continues. */
function waitsForProgram({ claims, reserves }: TrackedFile): boolean {
  return claims.size + reserves.size > 0;
}

/** Blocks until the written bytes are in the file. */
function flushNow(session: Session, slot: Slot, { durable }: { durable: boolean }): void {
  const writer = slot.writer ?? slot.ended;
  if (!writer) return;
  const { stream, oracle, handle, source } = writer;
  const { oracle: contract } = session;
  const since = contract.now();
  const name = session.standingName(handle);
  const errnos = waitsForProgram(oracle.file) ? [Errno.ETIMEDOUT] : [];
  try {
    stream.flushSync({ durable });
  } catch (error) {
    const misuse = oracle.ending || oracle.piped;
    return contract.guard(() => {
      session.explain({ name: "flushSync", handle, source, writer: oracle, errnos, misuse }, error);
      // A writer that has only timed out has not failed.
      if ((error as { errno?: number }).errno !== Errno.ETIMEDOUT) noteFailure(writer, error);
    });
  }
  // A writer that has ended has no descriptor to sync: its number may belong to another file.
  if (oracle.end) return;
  contract.guard(() => {
    checkFlushed("writer 2", writer);
    if (durable) promiseUpTo(session, writer, oracle.flushed, since, name);
  });
}

/** All chunks must be in the file. For a pipe only the pipe knows their number. */
export function checkFlushed(promise: "writer 2" | "normal end", { oracle }: OpenWriter): void {
  oracle.opened();
  oracle.poll();
  if (oracle.piped || oracle.flushed === oracle.givenEnd) return;
  throw new Violation(promise, `${oracle.flushed} is flushed of ${oracle.givenEnd} given`);
}

/** The position that a flush or sync must reach. The start may not be known yet. */
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

export const writerSteps = {
  writer: onFile(5, drawWriter, openWriter),
  write: step(16, drawChunk, write),
  "write nonsense": step(0.5, nothing, writeNonsense),
  flush: step(
    1.5,
    (random) => ({ tail: random.chance(0.3) }),
    (session, slot, action) => flush(session, slot, action, false),
  ),
  sync: step(
    4,
    (random) => ({ tail: random.chance(0.5) }),
    (session, slot, action) => flush(session, slot, action, true),
  ),
  "flush now": step(2, (random) => ({ durable: random.chance(0.5) }), flushNow),
};
