// Steps that end a stream of a file, and the checks afterwards.

import { Violation } from "../oracle/promises.ts";
import { mayPublish, publish } from "./name_steps.ts";
import type { Handle, OpenWriter, Session, Slot, StandingName } from "./session.ts";
import type { Random } from "../random.ts";
import { step } from "./step.ts";
import { callOf, noteFailure, takeLock } from "./writer_steps.ts";

type WriterEnding = "close" | "lock" | "dispose" | "seal" | "abort" | "abort lock" | "drop";

function drawEnding(random: Random): { how: WriterEnding } {
  return {
    how: random.weighted([
      [5, "close"],
      [1, "lock"],
      [1, "dispose"],
      [2, "seal"],
      [3, "abort"],
      [1, "abort lock"],
      [1, "drop"],
    ]),
  };
}

export async function endWriter(
  session: Session,
  slot: Slot,
  { how }: { how: WriterEnding },
): Promise<void> {
  const { writer } = slot;
  if (!writer || writer.oracle.end) return;
  const { stream, oracle } = writer;
  const isWrongTime = stream.locked || (oracle.ending && how !== "abort");
  if (isWrongTime) return await endAtWrongTime(session, writer, how);
  if (oracle.isLocked) return;
  if (how === "abort" || how === "abort lock") return await abort(session, writer, how);
  if (how !== "drop") return await close(session, writer, how);
  if (session.callsOf(oracle).length > 0) return;
  writer.handle.target = undefined;
  if (oracle.facts.closeFile) session.forget(writer.handle);
  session.drop(writer);
}

/** An end of a stream that is locked or already ending is rejected, or waits for the first end. */
function endAtWrongTime(
  session: Session,
  writer: OpenWriter,
  how: WriterEnding,
): Promise<void> {
  const { stream } = writer;
  return callOf(session, writer, {
    name: "an end at the wrong time",
    promise: how === "dispose"
      ? stream[Symbol.asyncDispose]()
      : how === "abort"
      ? stream.abort(session.ownError("aborted at the wrong time"))
      : stream.close(),
    misuse: true,
  });
}

async function close(
  session: Session,
  writer: OpenWriter,
  how: "close" | "lock" | "dispose" | "seal",
): Promise<void> {
  const { stream, oracle, handle } = writer;
  const closes = oracle.facts.closeFile && how !== "seal";
  const publishes = closes || how === "seal";
  if (publishes && !mayPublish(session, handle)) return;
  oracle.ending = oracle.closes = true;
  if (closes) handle.closing = true;
  if (how === "seal") handle.sealing = true;
  const closing = beginClose(session, handle, closes, publishes);
  const promise = how === "seal"
    ? stream.seal().then(() => {})
    : how === "dispose"
    ? dispose(session, writer)
    : how === "lock"
    ? closeUnderLock(writer)
    : stream.close();
  await callOf(session, writer, {
    name: how,
    promise,
    done: () => {
      // The writer has failed before and a call has reported it, so disposing is silent.
      if (how === "dispose" && oracle.failure) return giveUp(session, writer, closing);
      finishClose(session, writer, closing);
      if (how === "seal") handle.writable = false;
    },
    failed: (error) => {
      if (oracle.closeStands && oracle.reasons.has(error)) {
        throw new Violation("close is not undone", "it rejects with the reason of an abort");
      }
      noteFailure(writer, error);
      giveUp(session, writer, closing);
    },
  });
}

/** The state at the beginning of a close. */
export interface Closing {
  readonly since: number;
  /** The file's name at the beginning of the close. */
  readonly name: StandingName | undefined;
  readonly closes: boolean;
  readonly publication: ((succeeded: boolean) => void) | undefined;
}

/** Begins a close. With `closes` it closes the file too, with `publishes` it publishes an atomic file. */
export function beginClose(
  session: Session,
  handle: Handle,
  closes: boolean,
  publishes: boolean = closes,
): Closing {
  const isPublished = publishes && handle.target !== undefined;
  return {
    since: session.oracle.now(),
    name: session.standingName(handle),
    closes,
    publication: isPublished ? publish(session, handle) : undefined,
  };
}

/** Checks a resolved close. */
export function finishClose(session: Session, writer: OpenWriter, closing: Closing): void {
  const { oracle } = writer;
  oracle.closed();
  if (oracle.facts.syncOnClose || closing.publication) promiseAll(session, writer, closing);
  closing.publication?.(true);
  leave(session, writer, closing.closes);
  session.oracle.cutThrice();
}

/** Resolves when all calls have reported a failure, so that disposing is silent. */
async function dispose(session: Session, { stream, oracle }: OpenWriter): Promise<void> {
  const before = session.callsOf(oracle).map(({ promise }) => promise);
  await stream[Symbol.asyncDispose]();
  await Promise.allSettled(before);
}

async function closeUnderLock({ stream }: OpenWriter): Promise<void> {
  const lock = takeLock(stream);
  await lock.close().finally(() => lock.releaseLock());
}

/** "writer 4": everything survives a power cut, at its exact length, under its name. */
function promiseAll(
  session: Session,
  { oracle: { file }, oracle, handle }: OpenWriter,
  { since, name }: Closing,
): void {
  const { expected, view } = file;
  session.promiseName(handle, name);
  // A handle that has not changed the file has nothing to sync.
  if (oracle.given.length === 0) return;
  const certain = file.certainSince(since, true);
  const { unsyncedPastWriters } = file.touches;
  for (const { from, to } of unsyncedPastWriters) certain.remove(from, to);
  const isWhole = expected.end === view.size && file.isLengthLeftAlone &&
    file.touches.areWritersSince(since) &&
    unsyncedPastWriters.length === 0;
  file.promise(certain, isWhole ? expected.end : undefined);
}

/** A writer has failed or was aborted, perhaps during its close. An atomic file is not published. */
export function giveUp(session: Session, writer: OpenWriter, closing?: Closing): void {
  const { oracle, handle } = writer;
  closing?.publication?.(false);
  oracle.gaveUp(session.cutsAreSure);
  handle.target = undefined;
  session.unhide(handle);
  leave(session, writer, oracle.facts.closeFile);
}

/** Records the end of a writer. */
function leave(session: Session, writer: OpenWriter, closes: boolean): void {
  const { slot } = writer;
  session.oracle.memoryUsers.delete(writer.memory);
  if (slot.writer === writer) slot.writer = undefined;
  slot.ended = writer;
  if (closes) session.leave(writer.handle);
}

async function abort(
  session: Session,
  writer: OpenWriter,
  how: "abort" | "abort lock",
): Promise<void> {
  const { stream, oracle, handle } = writer;
  const wasEnding = oracle.ending;
  oracle.ending = true;
  if (oracle.facts.closeFile && !wasEnding) handle.closing = true;
  // A stream that has accepted bytes has started, so that it closes at once.
  const { currentPos, nextPos } = stream;
  const isTaken = oracle.isOpened && currentPos > oracle.start && nextPos === currentPos;
  // A stream closes only after every chunk is acknowledged.
  const isWriting = session.callsOf(oracle).some(({ name }) => name === "write");
  const isClosing = wasEnding && oracle.closes && !isWriting;
  // An earlier abort may have overtaken the close, and remains.
  const isFirst = oracle.reasons.size === 0;
  if (isClosing && isTaken && isFirst) oracle.closeStands = true;
  const reason = session.ownError("aborted");
  oracle.reasons.add(reason);
  const lock = how === "abort lock" ? takeLock(stream) : undefined;
  const over = () => {
    lock?.releaseLock();
    // A close that had begun reports its own result.
    if (!wasEnding) giveUp(session, writer);
  };
  const promise = lock ? lock.abort(reason) : stream.abort(reason);
  // An abort may report a failed cut, which is not the writer's first failure.
  await callOf(session, writer, { name: how, promise, over, failed: () => {} });
}

export const endWriterStep = step(5, drawEnding, endWriter);
