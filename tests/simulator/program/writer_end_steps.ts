// Steps that end a stream on a file, and what is true afterwards.

import { Violation } from "../oracle/promises.ts";
import { mayPublish, publish } from "./name_steps.ts";
import type { OpenWriter, Session, Slot, StandingName } from "./session.ts";
import type { Of } from "./steps.ts";
import { excuseOf, noteFailure } from "./writer_steps.ts";

export async function endWriter(
  session: Session,
  slot: Slot,
  { how }: Of<"end writer">,
): Promise<void> {
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
  const { unsyncedPastWriters } = file.touches;
  for (const { from, to } of unsyncedPastWriters) certain.remove(from, to);
  const isWhole = expected.end === view.size && file.isLengthLeftAlone &&
    file.touches.areWritersSince(since) &&
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
  slot.ended = writer;
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
  const isClosing = wasEnding && oracle.closes && !session.isWriting(oracle);
  // An abort before it may have come in front of the close, and stands itself.
  const isFirst = oracle.reasons.size === 0;
  if (isClosing && isTaken && isFirst && !oracle.failure) oracle.closeStands = true;
  const reason = session.ownError("aborted");
  oracle.reasons.add(reason);
  const lock = how === "abort lock" ? stream.getWriter() : undefined;
  lock?.closed.catch(() => {});
  if (lock) writer.locked = true;
  // A pipe may hold it.
  const misuse = !lock && stream.locked;
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
    misuse,
    over,
  });
}
