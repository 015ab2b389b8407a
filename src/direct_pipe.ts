// Pipes from file to file: whole buffers go from reads to writes without a copy, with the semantics of
// ReadableStream.pipeTo (https://streams.spec.whatwg.org/#readable-stream-pipe-to).

import { yieldIfNeeded } from "./engine/event_loop.ts";
import type { ReadAhead } from "./reader/read_ahead.ts";
import type { ReaderSource } from "./reader/source.ts";
import { sinkOf, type WriterSink } from "./writer/sink.ts";
import type { Writer } from "./writer/writer.ts";

// The method of the base class: for the destination this is an ordinary pipe. A program may replace the global class
// later.
const { getWriter } = WritableStream.prototype;

/** Bytes copied at once if a whole buffer cannot be passed on. */
const MAX_COPIED = 1 << 20;

/**
 * Reads the options as the Standard requires: once, in this order. Throws what their getters throw. Returns undefined if
 * they are not an object.
 */
export function readPipeOptions(options: StreamPipeOptions | undefined) {
  if (options !== undefined && options !== null && typeof options !== "object") return undefined;
  const preventAbort = Boolean(options?.preventAbort);
  const preventCancel = Boolean(options?.preventCancel);
  const preventClose = Boolean(options?.preventClose);
  const signal = options?.signal;
  return { preventAbort, preventCancel, preventClose, signal };
}

type PipeOptions = NonNullable<ReturnType<typeof readPipeOptions>>;

/** The two ends of a pipe, and their streams. */
interface DirectPipe {
  readonly options: PipeOptions;
  readonly source: ReadableStream<Uint8Array>;
  readonly readAhead: ReadAhead;
  readonly destination: WritableStream;
  readonly sink: WriterSink;
  readonly writer: Writer;
}

/** The pipe from a file's stream to `destination`; undefined if whole buffers cannot be passed on. */
export function directPipe(
  source: ReadableStream<Uint8Array>,
  { untouched, readAhead }: ReaderSource,
  destination: WritableStream,
  options: PipeOptions,
): DirectPipe | undefined {
  const sink = sinkOf(destination);
  const { signal } = options;
  const isSignal = signal === undefined || signal instanceof AbortSignal;
  if (!sink?.isFree || !isSignal || !untouched) return undefined;
  if (source.locked || destination.locked) return undefined;
  return { options, source, readAhead, destination, sink, writer: sink.writer };
}

/** Waits for a promise, or for an event that ends the pipe. */
type Wait = (promise: Promise<unknown>) => Promise<unknown>;

/** Pipes a file's stream into a writer. Both are locked until the pipe has ended. */
export async function pipeDirectly(pipe: DirectPipe): Promise<void> {
  await runPipe(pipe).catch((error) => pipe.sink.rethrow(error));
}

async function runPipe(pipe: DirectPipe): Promise<void> {
  const { source, destination } = pipe;
  const { preventAbort, preventCancel, preventClose, signal } = pipe.options;
  const reader = source.getReader();
  const writer = getWriter.call(destination);
  // `Promise.race` against a promise that lives as long as the pipe would leak a reaction at every wait.
  let wake = () => {};
  const wait: Wait = (promise) =>
    new Promise((resolve, reject) => {
      wake = () => resolve(undefined);
      promise.then(resolve, reject);
    });
  const stop = () => wake();
  writer.closed.catch(stop);
  signal?.addEventListener("abort", stop);
  try {
    await moveAll(pipe, wait);
    // The stream finds the end itself and closes the file. Until then the source has not ended.
    await wait(reader.read());
    // The last writes may have failed meanwhile.
    assertGoesOn(pipe);
    if (!preventClose) await writer.close();
  } catch (reason) {
    const { failure } = pipe.writer;
    const writeFailed = failure !== undefined && reason === failure.reason;
    const isAborted = signal !== undefined && reason === signal.reason;
    // The stream meets the same read error, and is errored as usual, unless memory was lacking.
    if (!writeFailed && !isAborted) await reader.read().catch(() => {});
    const ends: Promise<unknown>[] = [];
    if (!preventAbort && !writeFailed) ends.push(writer.abort(reason));
    if (!preventCancel) ends.push(reader.cancel(reason));
    // Both end before the pipe does, even if one of them fails.
    const failures = await Promise.allSettled(ends);
    throw failures.find((end) => end.status === "rejected")?.reason ?? reason;
  } finally {
    signal?.removeEventListener("abort", stop);
    reader.releaseLock();
    writer.releaseLock();
  }
}

/** Throws if the pipe was aborted, or the writer has failed. */
function assertGoesOn({ options: { signal }, writer: { failure } }: DirectPipe): void {
  signal?.throwIfAborted();
  if (failure) throw failure.reason;
}

async function moveAll(pipe: DirectPipe, wait: Wait): Promise<void> {
  const { readAhead, writer } = pipe;
  for (;;) {
    assertGoesOn(pipe);
    const moved = moveBlock(readAhead, writer) ?? moveBytes(readAhead, writer);
    if (moved === null) return;
    if (moved === undefined) await wait(readAhead.ready());
    // Without room a whole buffer waits; a partial one is copied.
    else if (moved === 0) await wait(writer.room());
    else {
      const turn = yieldIfNeeded(moved);
      if (turn) await wait(turn);
    }
  }
}

/** Passes a whole buffer on, if there is one and the target accepts it. Returns its length. */
function moveBlock(readAhead: ReadAhead, writer: Writer): number | undefined {
  const { blockSize, engine } = writer.file;
  const taken = writer.takesMemory ? readAhead.takeBlock(blockSize) : undefined;
  if (!taken) return undefined;
  const { block, length } = taken;
  writer.writeMemory(block, length, () => engine.release(block));
  return length;
}

/** Copies, and returns the number of bytes: null at the end, undefined if no bytes are ready. */
function moveBytes(readAhead: ReadAhead, writer: Writer): number | null | undefined {
  const bytes = readAhead.peek(MAX_COPIED);
  if (!bytes) return bytes;
  const copied = writer.write(bytes);
  if (copied > 0) readAhead.advance(copied);
  return copied;
}
