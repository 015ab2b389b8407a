// The way from file to file: whole buffers go from reads to writes as they are, with the semantics of
// ReadableStream.pipeTo (https://streams.spec.whatwg.org/#readable-stream-pipe-to).

import { yieldIfNeeded } from "./engine/event_loop.ts";
import type { ReadAhead } from "./core/read_ahead.ts";
import type { WriteBehind } from "./core/write_behind.ts";
import type { WriteSession } from "./core/write_session.ts";
import type { DmaStreamReader } from "./stream_reader.ts";
import type { DmaStreamWriter } from "./stream_writer.ts";

/** Bytes that are copied at once where a buffer cannot be moved as it is. */
const COPIED = 1 << 20;

/** Which side of a pipe failed, and how. */
class Failure {
  constructor(readonly side: "read" | "write", readonly reason: unknown) {}
}

/**
 * Waits that something from outside may end. One at a time: a race against a promise that lives as long as the pipe would
 * leave something behind at every wait.
 */
class Waits {
  #ended: { readonly reason: unknown } | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  /** Ends the wait that is under way, and each that comes. */
  end(reason: unknown): void {
    this.#ended ??= { reason };
    this.#reject?.(this.#ended.reason);
  }

  for<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended) reject(this.#ended.reason);
      this.#reject = reject;
      promise.then(resolve, reject);
    });
  }
}

/** Pipes a file's stream into a writer. Both are locked until it is over. */
export async function pipeDirectly(
  source: DmaStreamReader,
  from: ReadAhead,
  destination: DmaStreamWriter,
  session: WriteSession,
  options: StreamPipeOptions,
): Promise<void> {
  const { preventAbort, preventCancel, preventClose, signal } = options;
  const reader = source.getReader();
  // The stream's own: to the destination this is a pipe like any other.
  const writer = WritableStream.prototype.getWriter.call(destination);
  const waits = new Waits();
  writer.closed.catch((reason) => waits.end(new Failure("write", reason)));
  const stop = () => waits.end(signal!.reason);
  signal?.addEventListener("abort", stop);
  try {
    signal?.throwIfAborted();
    await moveAll(from, session, waits, signal);
    // The stream finds the end for itself, and closes the file. Until then the source has not ended.
    await waits.for(
      reader.read().catch((reason) => {
        throw new Failure("read", reason);
      }),
    );
    // The last writes may have failed meanwhile.
    if (session.failed) throw new Failure("write", session.error);
    if (!preventClose) await writer.close();
  } catch (error) {
    const failed = error instanceof Failure ? error.side : undefined;
    const reason = error instanceof Failure ? error.reason : error;
    // The stream runs into what the reading ran into, and is errored as any other would be.
    if (failed === "read") await reader.read().catch(() => {});
    const ends: Promise<unknown>[] = [];
    if (!preventAbort && failed !== "write") ends.push(writer.abort(reason));
    if (!preventCancel && failed !== "read") ends.push(reader.cancel(reason));
    // Both have ended before the pipe does, also where one of them fails.
    const failures = await Promise.allSettled(ends);
    throw failures.find((end) => end.status === "rejected")?.reason ?? reason;
  } finally {
    signal?.removeEventListener("abort", stop);
    reader.releaseLock();
    writer.releaseLock();
  }
}

async function moveAll(
  from: ReadAhead,
  session: WriteSession,
  waits: Waits,
  signal: AbortSignal | undefined,
): Promise<void> {
  const writing = <T>(promise: Promise<T>) =>
    promise.catch((reason) => {
      throw new Failure("write", reason);
    });
  const to = await waits.for(writing(session.ready()));
  for (;;) {
    signal?.throwIfAborted();
    if (session.failed) throw new Failure("write", session.error);
    const moved = moveBlock(from, to, session) ?? moveBytes(from, to);
    if (moved === null) return;
    if (moved === undefined) await waits.for(from.ready());
    // Without room a whole buffer waits rather than being copied; what is no whole buffer is copied.
    else if (moved === 0) await waits.for(writing(to.room()));
    else {
      const turn = yieldIfNeeded(moved);
      if (turn) await waits.for(turn);
    }
  }
}

/** Hands a whole buffer over as it is, where there is one and the target takes it. Returns its length. */
function moveBlock(from: ReadAhead, to: WriteBehind, session: WriteSession): number | undefined {
  const { alignment, engine } = session.handle;
  const taken = to.takesMemory ? from.takeBlock(alignment) : undefined;
  if (!taken) return undefined;
  const { block, length } = taken;
  to.writeMemory(block, 0, length, () => engine.release(block));
  return length;
}

/** Copies, and returns how much; null at the end, undefined where bytes are yet to come. */
function moveBytes(from: ReadAhead, to: WriteBehind): number | null | undefined {
  const bytes = look(from);
  if (!bytes) return bytes;
  const copied = to.hasRoom ? to.write(bytes) : 0;
  if (copied > 0) from.advance(copied);
  return copied;
}

function look(from: ReadAhead): Uint8Array<ArrayBuffer> | null | undefined {
  try {
    return from.peek(COPIED);
  } catch (error) {
    throw new Failure("read", error);
  }
}
