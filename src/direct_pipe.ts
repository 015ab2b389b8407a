// The way from file to file: whole buffers go from reads to writes as they are, with the semantics of
// ReadableStream.pipeTo (https://streams.spec.whatwg.org/#readable-stream-pipe-to).

import type { ReadAhead } from "./core/read_ahead.ts";
import type { WriteSession } from "./core/write_session.ts";
import type { DmaStreamReader } from "./stream_reader.ts";
import type { DmaStreamWriter } from "./stream_writer.ts";

/** Bytes that are copied at once where a buffer cannot be moved as it is. */
const COPIED = 1 << 20;

/** Which side of a pipe failed, and how. */
class Failure {
  constructor(readonly side: "read" | "write", readonly reason: unknown) {}
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
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  writer.closed.catch((reason) => broken.reject(new Failure("write", reason)));
  const stop = () => broken.reject(signal!.reason);
  signal?.addEventListener("abort", stop);
  try {
    signal?.throwIfAborted();
    await moveAll(from, session, broken.promise, signal);
    // The stream finds the end for itself, and closes the file.
    await reader.read().catch((reason) => {
      throw new Failure("read", reason);
    });
    // Where the writer has failed meanwhile, the stream would only say that it is errored.
    if (!preventClose) await (session.failed ? session.close() : writer.close());
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
  broken: Promise<never>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const writing = <T>(promise: Promise<T>) =>
    promise.catch((reason) => {
      throw new Failure("write", reason);
    });
  const to = await Promise.race([writing(session.ready()), broken]);
  const { alignment } = session.handle;
  for (;;) {
    signal?.throwIfAborted();
    if (session.failed) throw new Failure("write", session.error);
    const taken = to.takesMemory ? from.takeBlock(alignment) : undefined;
    if (taken) {
      const { block, length } = taken;
      to.writeMemory(block, 0, length, () => session.handle.engine.release(block));
      continue;
    }
    const bytes = look(from);
    if (bytes === null) return;
    if (bytes === undefined) {
      await Promise.race([from.ready(), broken]);
      continue;
    }
    // Without room a whole buffer waits rather than being copied; what is no whole buffer is copied.
    const copied = to.hasRoom ? to.write(bytes) : 0;
    if (copied > 0) from.advance(copied);
    else await Promise.race([writing(to.room()), broken]);
  }
}

function look(from: ReadAhead): Uint8Array<ArrayBuffer> | null | undefined {
  try {
    return from.peek(COPIED);
  } catch (error) {
    throw new Failure("read", error);
  }
}
