// Pipes from file to file: whole buffers go from reads to writes without a copy, as pipeTo of the Streams Standard.

import { yieldIfNeeded } from "./engine/event_loop.ts";
import type { Memory } from "./engine/operation.ts";
import type { ReadAhead } from "./reader/read_ahead.ts";
import type { ReaderSource } from "./reader/source.ts";
import { sinkOf } from "./writer/sink.ts";
import type { Writer } from "./writer/writer.ts";

// The base class's method: for the destination this is an ordinary pipe. A program may replace the global class.
const { getWriter } = WritableStream.prototype;

const MAX_COPIED = 1 << 20;

/** Reads the options once and in the order of the Standard. Returns undefined if they are not an object. */
export function readPipeOptions(options: StreamPipeOptions | undefined) {
  if (options !== undefined && options !== null && typeof options !== "object") return undefined;
  const preventAbort = Boolean(options?.preventAbort);
  const preventCancel = Boolean(options?.preventCancel);
  const preventClose = Boolean(options?.preventClose);
  const signal = options?.signal;
  return { preventAbort, preventCancel, preventClose, signal };
}

type PipeOptions = NonNullable<ReturnType<typeof readPipeOptions>>;

/** Pipes a file's stream into a writer's, and locks both. Returns undefined if buffers cannot be passed on. */
export function pipeDirectly(
  source: ReadableStream<Uint8Array>,
  { untouched, readAhead }: ReaderSource,
  destination: WritableStream,
  options: PipeOptions,
): Promise<void> | undefined {
  const sink = sinkOf(destination);
  const { signal } = options;
  const isSignal = signal === undefined || signal instanceof AbortSignal;
  if (!sink?.isFree || !isSignal || !untouched) return undefined;
  if (source.locked || destination.locked) return undefined;
  return runPipe(source, readAhead, destination, sink.writer, options)
    .catch((error) => sink.rethrow(error));
}

async function runPipe(
  source: ReadableStream<Uint8Array>,
  readAhead: ReadAhead,
  destination: WritableStream,
  target: Writer,
  { preventAbort, preventCancel, preventClose, signal }: PipeOptions,
): Promise<void> {
  const reader = source.getReader();
  const writer = getWriter.call(destination);
  let wake = () => {};
  /** Waits for a promise, or for an event that ends the pipe. `Promise.race` would leak a reaction at every wait. */
  const wait = (promise: Promise<unknown>) =>
    new Promise((resolve, reject) => {
      wake = () => resolve(undefined);
      promise.then(resolve, reject);
    });
  const assertGoesOn = () => {
    signal?.throwIfAborted();
    if (target.failure) throw target.failure.reason;
  };
  const stop = () => wake();
  writer.closed.catch(stop);
  signal?.addEventListener("abort", stop);
  try {
    for (;;) {
      assertGoesOn();
      const moved = moveBuffer(readAhead, target) ?? moveBytes(readAhead, target);
      if (moved === null) break;
      if (moved === undefined) await wait(readAhead.ready());
      // The target has neither a buffer to spare nor room in the current one.
      else if (moved === 0) await wait(target.room());
      else {
        const turn = yieldIfNeeded(moved);
        if (turn) await wait(turn);
      }
    }
    // The stream finds the end itself and closes the file. Until then the source has not ended.
    await wait(reader.read());
    assertGoesOn();
    if (!preventClose) await writer.close();
  } catch (reason) {
    const writeFailed = target.failure !== undefined && reason === target.failure.reason;
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

/** Passes a whole buffer on, if there is one and the target accepts it. Returns its length. */
function moveBuffer(readAhead: ReadAhead, writer: Writer): number | undefined {
  if (!writer.takesMemory) return undefined;
  const write = (memory: Memory, length: number) => writer.writeMemory(memory, length, true);
  return readAhead.passBuffer(writer.file.blockSize, write);
}

/** Copies, and returns the number of bytes: null at the end, undefined if no bytes are ready. */
function moveBytes(readAhead: ReadAhead, writer: Writer): number | null | undefined {
  const bytes = readAhead.peek(MAX_COPIED);
  if (!bytes) return bytes;
  const copied = writer.write(bytes);
  if (copied > 0) readAhead.advance(copied);
  return copied;
}
