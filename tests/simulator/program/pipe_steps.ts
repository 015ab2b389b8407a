// A step that pipes a stream into a writer.

import { bytesOf } from "../files.ts";
import type { Random } from "../random.ts";
import type { Handle, OpenWriter } from "./session.ts";
import { onWriter, size } from "./step.ts";
import { beginClose, type Closing, finishClose, giveUp } from "./writer_end_steps.ts";

interface Source {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly bytes: Uint8Array;
  readonly handle?: Handle;
  readonly end?: () => Promise<void>;
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

async function pipeInto(writer: OpenWriter, choice: Pipe): Promise<void> {
  const { oracle, stream, handle, handle: { session } } = writer;
  if (oracle.isLocked || oracle.ending || !oracle.isOpened || !handle.mayPublish) return;
  const source = choice.source === "file" ? fileSource(writer, choice) : ownSource(writer, choice);
  if (!source) return;
  const { preventClose, preventAbort, preventCancel, abortAfter } = choice;
  oracle.give(source.bytes);
  oracle.piped = true;
  writer.source = source.handle;
  const controller = new AbortController();
  const reason = session.ownError("the signal aborts the pipe");
  if (abortAfter !== undefined) {
    session.world.clock.sleep(abortAfter).then(() => controller.abort(reason));
  }
  const { closeFile } = oracle.facts;
  const mayClose = closeFile && !(preventClose && preventAbort);
  if (mayClose) handle.closing = true;
  const closing = beginClose(handle, closeFile && !preventClose);
  // The writer stays open. It does not get the bytes that the pipe did not deliver.
  const goOn = () => {
    oracle.piped = false;
    writer.source = undefined;
    oracle.gotUpTo(stream.nextPos);
    if (mayClose) handle.closing = false;
  };
  let failure: { readonly reason: unknown } | undefined;
  const { signal } = controller;
  const options = { preventClose, preventAbort, preventCancel };
  const signalled = abortAfter === undefined ? options : { ...options, signal };
  await writer.call("pipeTo", source.stream.pipeTo(stream, signalled), {
    done: () => {
      writer.keptByPipe = preventClose;
      if (preventClose) return goOn();
      oracle.piped = false;
      oracle.ending = true;
      finishClose(writer, closing);
    },
    failed: (reason) => {
      failure = { reason };
      // The writer is unlocked, and open unless it has failed itself.
      if (preventAbort) goOn();
    },
  });
  if (failure) await fail(writer, closing, preventAbort, failure.reason);
  await source.end?.();
}

/** A failed pipe has aborted the writer, unless `preventAbort` was set or the writer had failed itself. */
async function fail(writer: OpenWriter, closing: Closing, preventAbort: boolean, failure: unknown) {
  const { oracle, stream, handle: { session } } = writer;
  if (preventAbort) {
    // Only the writer knows whether it is still open.
    const lives = await stream.flushAligned().then(() => true, (error) => {
      session.oracle.guard(() => writer.noteFailure(error));
      return false;
    });
    if (lives) return closing.publication?.(false);
  }
  oracle.piped = false;
  oracle.ending = true;
  await stream.abort(failure).catch(() => {});
  session.oracle.guard(() => {
    oracle.gotUpTo(stream.currentPos);
    giveUp(writer, closing);
  });
}

function ownSource({ oracle, handle: { session } }: OpenWriter, choice: Pipe): Source {
  const { size, seed, failAfter } = choice;
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
  return { stream, bytes };
}

/** A reader of another file that no other call changes meanwhile. */
function fileSource(writer: OpenWriter, { from, seed }: Pipe): Source | undefined {
  const { session } = writer.handle;
  const { handle } = session.slots[from]!;
  if (!handle?.readable || handle.closing) return undefined;
  const { tracked, tracked: { expected, view } } = handle;
  const isQuiet = tracked.writers.size === 0 && tracked.isLengthLeftAlone && !tracked.isBusy &&
    expected.end === view.size && tracked.isCertain(0, view.size);
  if (tracked === writer.handle.tracked || !isQuiet || view.size > 1 << 20) return undefined;
  const start = Math.min(view.size, seed % 3 === 0 ? seed % 5000 : 0);
  const end = Math.min(view.size, start + writer.oracle.room);
  // Without a size the reader shares its memory.
  const sizes = seed % 4 === 0 ? {} : { bufferSize: [512, 4096, 65_536][seed % 3]!, readAhead: 2 };
  const options = { start, end, closeFile: false, ...sizes };
  const stream = new session.module.DmaStreamReader(handle.file, options);
  const claim = { from: 0, to: Math.max(1, end), bytes: new Uint8Array(0) };
  tracked.claims.add(claim);
  // The writer has the reader's buffers in flight too.
  const most = stream.readAhead + 1 + writer.stream.writeBehind;
  const memory = { bound: most * stream.bufferSize };
  session.oracle.memoryUsers.add(memory);
  return {
    stream,
    bytes: expected.content.slice(start, end),
    handle,
    end: async () => {
      await handle.call("close reader", stream.close());
      tracked.claims.delete(claim);
      session.oracle.memoryUsers.delete(memory);
      // The writer writes the pipe's buffers without a copy.
      writer.memory.bound += memory.bound;
    },
  };
}

export const pipe = onWriter(2, drawPipe, pipeInto);
