// Steps that end a stream of a file, and the checks afterwards.

import { violate } from "../oracle/promises.ts";
import { publish } from "./name_steps.ts";
import type { Handle, OpenWriter } from "./session.ts";
import { onWriter } from "./step.ts";
import { takeLock } from "./writer_steps.ts";

const endings = { close: 5, lock: 1, dispose: 1, seal: 2, abort: 3, "abort lock": 1, drop: 1 };

type Ending = keyof typeof endings;

export async function endWriter(writer: OpenWriter, { how }: { how: Ending }): Promise<void> {
  const { stream, oracle, handle } = writer;
  if (stream.locked || (oracle.ending && how !== "abort")) return await endAgain(writer, how);
  if (oracle.isLocked) return;
  if (how === "abort" || how === "abort lock") return await abort(writer, how);
  if (how !== "drop") return await close(writer, how);
  if (writer.calls.length > 0) return;
  handle.target = undefined;
  if (oracle.facts.closeFile) handle.leave();
  writer.drop();
}

/** An end of a stream that is locked or already ending is rejected, or waits for the first end. */
function endAgain(writer: OpenWriter, how: Ending): Promise<void> {
  const { stream, handle: { session } } = writer;
  const promise = how === "dispose"
    ? stream[Symbol.asyncDispose]()
    : how === "abort"
    ? stream.abort(session.ownError("aborted at the wrong time"))
    : stream.close();
  return writer.call("an end at the wrong time", promise, { misuse: true });
}

const closing = {
  close: ({ stream }: OpenWriter) => stream.close(),
  lock: async ({ stream }: OpenWriter) => {
    const lock = takeLock(stream);
    await lock.close().finally(() => lock.releaseLock());
  },
  /** Resolves when all calls have reported a failure, so that disposing is silent. */
  dispose: async (writer: OpenWriter) => {
    await writer.stream[Symbol.asyncDispose]();
    const others = writer.calls.filter(({ name }) => name !== "dispose");
    await Promise.allSettled(others.map(({ promise }) => promise));
  },
  seal: async ({ stream }: OpenWriter) => void await stream.seal(),
};

async function close(writer: OpenWriter, how: keyof typeof closing): Promise<void> {
  const { oracle, handle } = writer;
  const closes = oracle.facts.closeFile && how !== "seal";
  const publishes = closes || how === "seal";
  if (publishes && !handle.mayPublish) return;
  oracle.ending = oracle.closes = true;
  if (closes) handle.closing = true;
  if (how === "seal") handle.sealing = true;
  const began = beginClose(handle, closes, publishes);
  // A pipe whose source has ended can resolve although its last chunk was refused (docs/errors.md).
  const isMissed = writer.keptByPipe && writer.endedBy !== undefined;
  await writer.call(how, closing[how](writer), {
    done: () => {
      // The writer has failed before, and a call has reported it or the caller has given up: disposing is silent.
      const hasGivenUp = oracle.reasons.size > 0 && writer.endedBy !== undefined;
      const isTold = oracle.failure || hasGivenUp || isMissed;
      if (how === "dispose" && isTold) return giveUp(writer, began);
      finishClose(writer, began);
      if (how === "seal") handle.writable = false;
    },
    failed: (error) => {
      if (oracle.closeStands && oracle.reasons.has(error)) {
        violate("close is not undone", "it rejects with the reason of an abort");
      }
      writer.noteFailure(error);
      giveUp(writer, began);
    },
  });
}

export type Closing = ReturnType<typeof beginClose>;

/** Begins a close. With `closes` it closes the file too, with `publishes` it publishes an atomic file. */
export function beginClose(handle: Handle, closes: boolean, publishes = closes) {
  return {
    since: handle.session.world.clock.tick(),
    named: handle.beginNameSync(),
    closes,
    publication: publishes && handle.target !== undefined ? publish(handle) : undefined,
  };
}

export function finishClose(writer: OpenWriter, closing: Closing): void {
  const { oracle, handle } = writer;
  const { named, since, closes, publication } = closing;
  oracle.closed();
  if (oracle.facts.syncOnClose || publication) {
    // "writer 4": everything survives a power cut, at its exact length, under its name.
    named();
    oracle.promiseAll(since);
  }
  publication?.(true);
  leave(writer, closes);
  handle.session.oracle.cutThrice();
}

/** A writer has failed or was aborted, so that no atomic file is published. With `isCut` the file was cut for sure. */
export function giveUp(writer: OpenWriter, closing?: Closing, isCut = false): void {
  const { oracle, handle } = writer;
  closing?.publication?.(false);
  oracle.gaveUp(isCut || handle.session.cutsAreSure);
  handle.target = undefined;
  handle.session.oracle.hidden.delete(handle);
  leave(writer, oracle.facts.closeFile);
}

function leave(writer: OpenWriter, closes: boolean): void {
  const { slot, handle, memory } = writer;
  handle.session.oracle.memoryUsers.delete(memory);
  if (slot.writer === writer) slot.writer = undefined;
  slot.ended = writer;
  if (!closes) return;
  handle.session.oracle.hidden.delete(handle);
  handle.leave();
}

async function abort(writer: OpenWriter, how: "abort" | "abort lock"): Promise<void> {
  const { stream, oracle, handle } = writer;
  const wasEnding = oracle.ending;
  oracle.ending = true;
  if (oracle.facts.closeFile && !wasEnding) handle.closing = true;
  // A stream that has accepted bytes has started, so that it closes at once.
  const { currentPos, nextPos } = stream;
  const isTaken = oracle.isOpened && currentPos > oracle.start && nextPos === currentPos;
  // A stream closes only after every chunk is acknowledged.
  const isWriting = writer.calls.some(({ name }) => name === "write");
  const isClosing = wasEnding && oracle.closes && !isWriting;
  // An earlier abort may have overtaken the close, and remains.
  if (isClosing && isTaken && oracle.reasons.size === 0) oracle.closeStands = true;
  const reason = handle.session.ownError("aborted");
  oracle.reasons.add(reason);
  const lock = how === "abort lock" ? takeLock(stream) : undefined;
  await writer.call(how, (lock ?? stream).abort(reason), {
    over: () => lock?.releaseLock(),
    // A close that had begun reports its own result.
    done: () => !wasEnding && giveUp(writer, undefined, writer.endedBy === reason),
    // An abort may report a failed cut, which is not the writer's first failure.
    failed: () => !wasEnding && giveUp(writer),
  });
}

export const endWriterStep = onWriter(5, (random) => ({ how: random.choose(endings) }), endWriter);
