// Steps that pipe a stream into a writer.

import { bytesOf } from "./bytes.ts";
import { mayPublish } from "./name_steps.ts";
import type { Handle, OpenWriter, Session, Slot } from "./session.ts";
import type { Random } from "../random.ts";
import { size, step } from "./step.ts";
import { beginClose, type Closing, finishClose, giveUp } from "./writer_end_steps.ts";
import { callOf, noteFailure } from "./writer_steps.ts";

interface Source {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly bytes: Uint8Array;
  readonly handle: Handle | undefined;
  readonly end: () => Promise<void>;
}

function drawPipe(random: Random, slots: number) {
  return {
    /** Another file's reader, or bytes of the program. */
    source: random.pick(["file", "program"]),
    from: random.below(slots),
    size: size(random),
    seed: random.seed(),
    preventClose: random.chance(0.3),
    preventAbort: random.chance(0.3),
    preventCancel: random.chance(0.3),
    /** A signal aborts the pipe after so many microseconds. */
    abortAfter: random.chance(0.2) ? random.below(3000) : undefined,
    /** The source fails after so many chunks. */
    failAfter: random.chance(0.2) ? random.below(4) : undefined,
  };
}

type Pipe = ReturnType<typeof drawPipe>;

async function pipeInto(session: Session, slot: Slot, choice: Pipe): Promise<void> {
  const { writer } = slot;
  if (!writer || writer.oracle.isLocked || writer.oracle.ending || writer.oracle.end) return;
  const { oracle, stream, handle } = writer;
  if (!oracle.isOpened || !mayPublish(session, handle)) return;
  const source = choice.source === "file"
    ? fileSource(session, session.slots[choice.from]!, writer, choice)
    : programSource(session, writer, choice);
  if (!source) return;
  const { preventClose, preventAbort, preventCancel, abortAfter } = choice;
  oracle.given.append(source.bytes);
  oracle.piped = true;
  writer.source = source.handle;
  const controller = new AbortController();
  const reason = session.ownError("the signal aborts the pipe");
  if (abortAfter !== undefined) {
    session.world.clock.sleep(abortAfter).then(() => controller.abort(reason));
  }
  const closes = !preventClose && oracle.facts.closeFile;
  const mayClose = oracle.facts.closeFile && !(preventClose && preventAbort);
  if (mayClose) handle.closing = true;
  const closing = beginClose(session, handle, closes);
  const piping = source.stream.pipeTo(stream, {
    preventClose,
    preventAbort,
    preventCancel,
    ...(abortAfter === undefined ? {} : { signal: controller.signal }),
  });
  let failure: unknown;
  let failed = false;
  await callOf(session, writer, {
    name: "pipeTo",
    promise: piping,
    done: () => {
      oracle.piped = false;
      if (preventClose) return accept(writer, mayClose);
      oracle.ending = true;
      finishClose(session, writer, closing);
    },
    failed: (error) => {
      failed = true;
      failure = error;
      if (!preventAbort) return;
      // The writer is unlocked, and open unless it has failed itself.
      oracle.piped = false;
      accept(writer, mayClose);
    },
  });
  if (failed) await fail(session, writer, closing, preventAbort, failure);
  await source.end();
}

/** The writer stays open. It does not get the bytes that the pipe did not deliver. */
function accept(writer: OpenWriter, mayClose: boolean): void {
  const { oracle, handle, stream } = writer;
  writer.source = undefined;
  oracle.given.cutTo(Math.max(0, stream.nextPos - oracle.start));
  if (mayClose) handle.closing = false;
}

/** A failed pipe has aborted the writer, unless `preventAbort` was set or the writer had failed itself. */
async function fail(
  session: Session,
  writer: OpenWriter,
  closing: Closing,
  preventAbort: boolean,
  failure: unknown,
): Promise<void> {
  const { oracle, stream } = writer;
  if (preventAbort) {
    // Only the writer knows whether it is still open.
    const lives = await stream.flushAligned().then(() => true, (error) => {
      session.oracle.guard(() => noteFailure(writer, error));
      return false;
    });
    if (lives) return closing.publication?.(false);
  }
  oracle.piped = false;
  oracle.ending = true;
  await stream.abort(failure).catch(() => {});
  session.oracle.guard(() => {
    oracle.given.cutTo(Math.max(0, stream.currentPos - oracle.start));
    giveUp(session, writer, closing);
  });
}

function programSource(
  session: Session,
  { oracle }: OpenWriter,
  { size, seed, failAfter }: Pipe,
): Source {
  const bytes = bytesOf(seed, Math.min(size, oracle.room));
  const error = session.ownError("the source fails");
  const parts = 1 + seed % 6;
  let chunks = 0;
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      if (seed % 2 === 0) await session.world.clock.sleep(seed % 500);
      if (chunks === failAfter) return controller.error(error);
      if (chunks === parts) return controller.close();
      const from = Math.floor(bytes.length * chunks / parts);
      const to = Math.floor(bytes.length * ++chunks / parts);
      controller.enqueue(bytes.slice(from, to));
    },
  });
  return { stream, bytes, handle: undefined, end: () => Promise.resolve() };
}

/** A source file, perhaps the same file, that no other call changes meanwhile. */
function fileSource(
  session: Session,
  from: Slot,
  writer: OpenWriter,
  { seed }: Pipe,
): Source | undefined {
  const { handle } = from;
  if (!handle?.readable || handle.closing) return undefined;
  if (handle.tracked === writer.handle.tracked) return undefined;
  const { tracked } = handle;
  const { expected, view } = tracked;
  const isQuiet = tracked.writers.size === 0 && tracked.isLengthLeftAlone &&
    tracked.isCertain(0, expected.end) &&
    expected.end === view.size && !tracked.isBusy;
  if (!isQuiet || view.size > 1 << 20) return undefined;
  const start = Math.min(view.size, seed % 3 === 0 ? seed % 5000 : 0);
  const end = Math.min(view.size, start + writer.oracle.room);
  const bufferSize = [512, 4096, 65_536][seed % 3]!;
  const options = { start, end, bufferSize, readAhead: 2, closeFile: false };
  const stream = new session.module.DmaStreamReader(handle.file, options);
  const claim = { from: 0, to: Math.max(1, end), bytes: new Uint8Array(0) };
  tracked.claims.add(claim);
  const memory = { bound: (stream.readAhead + 1) * stream.bufferSize };
  session.oracle.memoryUsers.add(memory);
  return {
    stream,
    bytes: expected.content.slice(start, end),
    handle,
    end: async () => {
      await session.call({ name: "close reader", promise: stream.close(), handle });
      tracked.claims.delete(claim);
      session.oracle.memoryUsers.delete(memory);
      // The writer writes the pipe's buffers without a copy.
      writer.memory.bound += memory.bound;
    },
  };
}

export const pipe = step(2, drawPipe, pipeInto);
