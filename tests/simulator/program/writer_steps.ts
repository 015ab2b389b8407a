// Steps that write to a file by a stream.

import type { DmaStreamWriter } from "../../../mod.ts";
import { Errno } from "../../../src/engine/linux.ts";
import { bytesOf } from "../files.ts";
import { violate } from "../oracle/promises.ts";
import { blockEnd, blockStart, LARGEST_BLOCK } from "../oracle/ranges.ts";
import { WriterOracle } from "../oracle/writer_oracle.ts";
import type { Random } from "../random.ts";
import { isOnServer } from "./range_steps.ts";
import { type Handle, OpenWriter, type Over, type Slot } from "./session.ts";
import { nothing, onFile, onWriter, place, size, SIZES_OF_BUFFERS, step } from "./step.ts";

/** The default options, which `DmaFile.writable` uses. */
const DEFAULTS = { preallocate: true, sizeHint: 0, syncOnClose: true, closeFile: true };

function drawWriter(random: Random) {
  const sizes = { bufferSize: random.pick(SIZES_OF_BUFFERS), writeBehind: random.between(1, 4) };
  return {
    place: random.choose({ start: 5, position: 2, append: 3, default: 1 }),
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
  handle: Handle,
  { place, position, options: chosen, waits }: ReturnType<typeof drawWriter>,
  slot: Slot,
): Over {
  if (handle.closing || !handle.writable) return;
  const { session, file, tracked, appends } = handle;
  const others = [...tracked.writers];
  if (tracked.claims.size + tracked.emptying > 0 || session.isOthers(tracked, handle)) return;
  // Another handle may have a writer, behind which this one starts.
  const isFree = others.every((other) =>
    other.isOpened && !other.piped && !other.facts.appendsAlways && other.givenEnd < 2 ** 40 &&
    other.stream.file !== file && place === "position" && !appends && !isOnServer(tracked)
  );
  if (!isFree) return;
  // No other call may change the length of a file that is appended to or that two handles have open: the position of a
  // chunk, or the length, would not be known.
  const isResized = tracked.truncates.size + tracked.reserves.size > 0;
  if (isResized && (appends || handle.isShared)) return;
  const options = place === "default" ? DEFAULTS : chosen;
  // If every write goes to the end, there is no other start.
  const behind = Math.max(0, ...others.map(({ givenEnd }) => blockEnd(givenEnd)));
  const first = others.length > 0 ? behind + 4096 * (position % 5) : position;
  for (const other of others) other.wall = Math.min(other.wall, blockStart(first));
  const start = place === "position" && !appends
    ? { position: first }
    : { append: place === "append" };
  const stream = place === "default"
    ? file.writable
    : new session.module.DmaStreamWriter(file, { ...options, ...start });
  const oracle = new WriterOracle(stream, tracked, {
    ...options,
    ...(appends ? { preallocate: false, sizeHint: 0 } : {}),
    append: appends || place === "append",
    appendsAlways: appends,
    position: start.position ?? 0,
  }, handle.block);
  // One more buffer, and blocks that are read.
  const bound = (stream.writeBehind + 1) * stream.bufferSize + 2 * LARGEST_BLOCK;
  const memory = { bound, shares: !("bufferSize" in options) };
  session.oracle.memoryUsers.add(memory);
  tracked.begin(oracle);
  if (options.closeFile) handle.fragile = true;
  const writer = slot.writer = new OpenWriter(slot, handle, stream, oracle, memory);
  // Another program's failures are none of this one's.
  stream.closed.catch((reason) => writer.endedBy = reason);
  if (!waits) return;
  return writer.call("open writer", stream.flushAligned(), { done: () => oracle.opened() });
}

function drawChunk(random: Random) {
  return {
    size: size(random),
    how: random.choose({ call: 6, lock: 2, buffer: 1, burst: 2 }),
    seed: random.seed(),
  };
}

async function write(slot: Slot, action: ReturnType<typeof drawChunk>): Promise<void> {
  const { writer, ended } = slot;
  if (!writer && ended) return await refused(ended, ended.stream.write(bytesOf(1, 3)));
  if (!writer || writer.oracle.end) return;
  const { stream, oracle, handle: { file } } = writer;
  const { how, seed } = action;
  const isShut = oracle.ending || stream.locked;
  if (isShut) return await refused(writer, stream.write(new Uint8Array(3)));
  // A pipe has ended, and its end was not reported yet.
  if (oracle.piped) return;
  if (!oracle.isOpened && oracle.wall < Infinity) return;
  const room = Math.min(action.size, oracle.room);
  if (how === "buffer") {
    const length = file.alignUp(Math.max(1, room));
    if (length > oracle.room) return;
    const buffer = file.allocBuffer(length);
    buffer.bytes.set(bytesOf(seed, length));
    oracle.give(buffer.bytes);
    return await give(writer, stream.writeBuffer(buffer));
  }
  const bytes = bytesOf(seed, room);
  oracle.give(bytes);
  const lock = how === "lock" ? takeLock(stream) : undefined;
  const half = seed % 2 === 0 ? room >> 1 : 0;
  const cuts =
    { call: [0, room], lock: [0, half, room], burst: [0, room >> 3, room >> 1, room] }[how];
  const writes = cuts.slice(1).map((cut, index) => {
    const { chunk, whole } = chunkOf(bytes.subarray(cuts[index], cut), seed + index);
    // The caller may change the chunk afterwards.
    return give(writer, (lock ?? stream).write(chunk).finally(() => whole.fill(0)));
  });
  if (seed % 3 === 0) lock?.releaseLock();
  await Promise.all(writes);
  lock?.releaseLock();
}

function chunkOf(bytes: Uint8Array, seed: number) {
  const kind = seed % 5;
  const offset = kind === 0 ? 3 : 0;
  const whole = new Uint8Array(bytes.length + 2 * offset);
  const view = whole.subarray(offset, offset + bytes.length);
  view.set(bytes);
  const chunk = kind === 1 ? whole.buffer : kind === 2 ? new DataView(whole.buffer) : view;
  return { chunk, whole };
}

function give(writer: OpenWriter, promise: Promise<void>): Promise<void> {
  // An end may come between the chunk and its turn.
  return writer.call("write", promise, { misuse: writer.oracle.ending });
}

/** A call to a stream that is locked or has ended, or with a wrong value, which is rejected. */
function refused(writer: OpenWriter, promise: Promise<void>): Promise<void> {
  return writer.call("refused write", promise, {
    misuse: true,
    done: () => violate("errors", "a stream took a chunk that it must refuse"),
  });
}

export function takeLock(stream: DmaStreamWriter) {
  const lock = stream.getWriter();
  lock.closed.catch(() => {});
  return lock;
}

/** Waits until the written bytes are in the file, and with `durable` synced. */
function flush(slot: Slot, tail: boolean, durable: boolean): Over {
  const writer = slot.writer ?? slot.ended;
  if (!writer) return;
  const { stream, oracle } = writer;
  const { end, flushed, piped, givenLength } = oracle;
  const synced = beginSync(writer);
  const promise = durable ? stream.sync({ tail }) : stream.flushAligned({ tail });
  return writer.call(durable ? "sync" : "flush", promise, {
    misuse: oracle.ending || (durable && piped),
    done: (position) => {
      if (end) return;
      oracle.opened();
      // The start may not have been known before.
      const least = tail && !piped && oracle.isOpened ? oracle.start + givenLength : flushed;
      oracle.poll();
      if (position < least || position > stream.currentFlushedPos) {
        const detail = `${position}, at least ${least}, flushed is ${stream.currentFlushedPos}`;
        violate(durable ? "sync covers the given" : "writer 2", detail);
      }
      if (durable) synced(position);
    },
  });
}

/** "writer 10": a sync that begins now makes a writer's bytes durable. Call the result with their end. */
function beginSync({ oracle, handle, handle: { session } }: OpenWriter): (end: number) => void {
  const since = session.world.clock.tick();
  const named = handle.beginNameSync();
  return (end) => {
    oracle.file.promise(oracle.file.certainSince(since, true).within(oracle.start, end));
    named();
    session.oracle.cutThrice();
  };
}

function flushNow(slot: Slot, { durable }: { durable: boolean }): void {
  const writer = slot.writer ?? slot.ended;
  if (!writer) return;
  const { stream, oracle, handle: { session } } = writer;
  const { claims, reserves } = oracle.file;
  const synced = beginSync(writer);
  // A truncate that waits for a call of the program begins only when the program continues.
  const errnos = claims.size + reserves.size > 0 ? [Errno.ETIMEDOUT] : [];
  try {
    stream.flushSync({ durable });
  } catch (error) {
    const misuse = oracle.ending || oracle.piped;
    return session.oracle.guard(() => {
      session.explain("flushSync", { ...writer.excuse, errnos, misuse }, error);
      // A writer that has only timed out has not failed.
      if ((error as { errno?: number }).errno !== Errno.ETIMEDOUT) writer.noteFailure(error);
    });
  }
  // A writer that has ended has no descriptor to sync: its number may belong to another file.
  if (oracle.end) return;
  session.oracle.guard(() => {
    oracle.checkFlushed("writer 2");
    if (durable) synced(oracle.flushed);
  });
}

export const writerSteps = {
  writer: onFile(5, drawWriter, openWriter),
  write: step(16, drawChunk, write),
  /** A value that is not a chunk is rejected, and no other chunk is lost. */
  "write nonsense": onWriter(0.5, nothing, (writer) => {
    return refused(writer, writer.stream.write("nonsense" as unknown as ArrayBuffer));
  }),
  flush: step(1.5, (random) => ({ tail: random.chance(0.3) }), (slot, { tail }) => {
    return flush(slot, tail, false);
  }),
  sync: step(4, (random) => ({ tail: random.chance(0.5) }), (slot, { tail }) => {
    return flush(slot, tail, true);
  }),
  "flush now": step(2, (random) => ({ durable: random.chance(0.5) }), flushNow),
};
