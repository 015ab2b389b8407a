// Steps that read a file by a stream.

import { violate } from "../oracle/promises.ts";
import type { Random } from "../random.ts";
import { collect } from "./finalizers.ts";
import { checkRead } from "./range_steps.ts";
import type { Handle, OpenReader, Slot } from "./session.ts";
import { onFile, place, size, SIZES_OF_BUFFERS, step } from "./step.ts";

/** The maximum number of bytes that are read to the end. */
const MOST_READ = 4 << 20;

function drawReader(random: Random) {
  return {
    /** The file's own reader, with default options. */
    byDefault: random.chance(0.1),
    start: place(random),
    length: random.chance(0.5) ? Infinity : size(random),
    bufferSize: random.pick(SIZES_OF_BUFFERS),
    readAhead: random.below(5),
    closeFile: random.chance(0.2),
  };
}

function openReader(handle: Handle, action: ReturnType<typeof drawReader>, slot: Slot): void {
  const { session, file, tracked } = handle;
  if (handle.closing || slot.reader) return;
  const { byDefault, bufferSize, readAhead } = action;
  const [start, length] = byDefault ? [0, Infinity] : [action.start, action.length];
  // Closing an atomic file publishes or discards it. If it has an open writer, the writer closes it.
  const mayClose = tracked.writers.size === 0 && !session.oracle.hidden.has(handle);
  if (!handle.readable || (byDefault && !mayClose)) return;
  const closeFile = byDefault || (action.closeFile && mayClose);
  const end = start + length;
  const since = session.world.clock.tick();
  let stream;
  try {
    const options = { start, end, bufferSize, readAhead, closeFile };
    stream = byDefault ? file.readable : new session.module.DmaStreamReader(file, options);
  } catch (error) {
    return session.oracle.guard(() => session.explain("a reader", { handles: [handle] }, error));
  }
  const memory = { bound: (stream.readAhead + 1) * stream.bufferSize };
  session.oracle.memoryUsers.add(memory);
  if (closeFile) {
    session.oracle.hidden.delete(handle);
    handle.leave();
  }
  const state = { busy: false, over: false, closing: false };
  slot.reader = { stream, handle, memory, since, end, closeFile, ...state };
}

/** Reads one chunk, into a view of the program if `view` is a size. Resolves to whether there was one. */
async function readOnce(reader: OpenReader, view: number): Promise<boolean> {
  const { stream, handle } = reader;
  const position = stream.currentPos;
  let isThere = false;
  await handle.call("read", take(reader, view), {
    done: (bytes) => {
      reader.over = !bytes;
      if (!bytes) return reader.closing ? undefined : checkEnd(reader, position);
      isThere = true;
      const end = position + bytes.length;
      if (bytes.length === 0 || stream.currentPos !== end || end > reader.end) {
        const all = `${bytes.length} bytes at ${position}, currentPos ${stream.currentPos}`;
        violate("reads", all);
      }
      checkRead(handle.tracked, reader.since, position, bytes);
      // The chunk belongs to the consumer.
      bytes.fill(0);
    },
    failed: () => reader.over = true,
  });
  return isThere;
}

/** Reads into a view: a large one suits Direct I/O, and is filled in place. */
async function take({ stream, handle: { file } }: OpenReader, view: number) {
  const reader = view === 0 ? stream.getReader() : stream.getReader({ mode: "byob" });
  reader.closed.catch(() => {});
  try {
    const { done, value } = reader instanceof ReadableStreamBYOBReader
      ? await reader.read(view <= 4096 ? new Uint8Array(view) : file.allocBuffer(view).bytes)
      : await reader.read();
    return done ? undefined : value;
  } finally {
    reader.releaseLock();
  }
}

/** "reads": a stream ends at the end of its range or of the file. */
function checkEnd({ handle, since, end }: OpenReader, position: number): void {
  const { tracked } = handle;
  if (!tracked.touches.isSizeStable(since) || position >= Math.min(end, tracked.view.size)) return;
  violate("reads", `the stream ends at ${position} of ${tracked.view.size}`);
}

function skip({ session, reader }: Slot, { bytes }: { bytes: number }): void {
  if (!reader || reader.busy || reader.over) return;
  const { stream, handle, handle: { tracked }, since, end } = reader;
  const before = stream.currentPos;
  stream.skip(bytes);
  session.oracle.guard(() => {
    const after = stream.currentPos;
    // A server that does not know a length reports 0.
    const size = tracked.view.size || (session.world.kind.server ? Infinity : 0);
    const right = Math.max(before, Math.min(before + bytes, end, size));
    const isKnown = tracked.touches.isSizeStable(since) && !tracked.isBusy &&
      !handle.closing && !handle.fragile;
    if (after >= before && after <= before + bytes && (!isKnown || after === right)) return;
    if (session.world.faults.hideSizes) return;
    violate("reads", `skip from ${before} by ${bytes} leads to ${after}`);
  });
}

export async function endReader(
  slot: Slot,
  { how }: { how: "cancel" | "close" | "read all" | "drop" },
): Promise<void> {
  const { session, reader } = slot;
  if (!reader || (reader.busy && how !== "close")) return;
  const { stream, handle } = reader;
  if (how === "drop") {
    slot.reader = undefined;
    collect(stream);
    // Only the stream uses the file. Its reads in flight keep their memory until they end.
    if (reader.closeFile) collect(handle.file);
    return;
  }
  reader.busy = true;
  reader.closing = how === "close";
  // The file may be extended meanwhile.
  const isShort = () => handle.tracked.view.size - stream.currentPos <= MOST_READ;
  if (how === "read all") { while (isShort() && await readOnce(reader, 0)); }
  await handle.call(how, how === "close" ? stream.close() : stream.cancel());
  session.oracle.memoryUsers.delete(reader.memory);
  if (slot.reader === reader) slot.reader = undefined;
}

export const readerSteps = {
  reader: onFile(2, drawReader, openReader),
  read: step(
    3,
    (random) => ({ reads: random.between(1, 3), view: random.pick([0, 0, 100, 4096, 16_384]) }),
    async ({ reader }, { reads, view }) => {
      if (!reader || reader.busy) return;
      reader.busy = true;
      for (let count = 0; count < reads && await readOnce(reader, view); count++);
      reader.busy = false;
    },
  ),
  skip: step(1, (random) => ({ bytes: size(random) }), skip),
  "end reader": step(1.5, (random) => ({
    how: random.pick(["cancel", "close", "read all", "drop"]),
  }), endReader),
};
