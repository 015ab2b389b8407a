// Steps that read, write, truncate and copy at positions.

import { Errno } from "../../../src/engine/linux.ts";
import type { ByteRange, DmaFile } from "../../../mod.ts";
import { Violation } from "../oracle/promises.ts";
import { blockEnd, blockStart, type Claim } from "../oracle/claim.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import { bytesOf } from "./bytes.ts";
import type { Handle, Over, Session } from "./session.ts";
import type { Random } from "../random.ts";
import { changing, onFile, place, reading, size } from "./step.ts";

const NOTHING = new Uint8Array(0);

/** The maximum length of a file. */
const FURTHEST = 2 ** 50;

/**
 * Whether a range is free: no running call uses it, and no writer has written or will write there. A writer of another
 * handle may cut off bytes behind it.
 */
function isFree(handle: Handle, from: number, to: number): boolean {
  const { tracked, file } = handle;
  if (tracked.truncates.size > 0 || tracked.isClaimed(from, to)) return false;
  // The writer of another handle cuts off bytes in space that its handle has reserved (docs/limits.md).
  const { end, longest } = tracked.expected;
  if (to > end && longest > end && isBesideOthers(handle)) return false;
  return [...tracked.writers].every((writer) =>
    writer.isOpened && !writer.piped &&
    (to <= blockStart(writer.start) ||
      (from >= blockEnd(writer.givenEnd) && writer.stream.file === file))
  );
}

/** Whether another handle has an open writer, which may have any operation in flight. */
function isBesideOthers({ tracked, file }: Handle): boolean {
  return [...tracked.writers].some(({ stream }) => stream.file !== file);
}

/** Claims a range for a call. Writers avoid it from then on. */
function claim(tracked: TrackedFile, range: Claim): () => void {
  tracked.claims.add(range);
  for (const writer of tracked.writers) {
    if (range.from >= writer.givenEnd) writer.wall = Math.min(writer.wall, blockStart(range.from));
  }
  return () => tracked.claims.delete(range);
}

/**
 * The expectations during and after a call that writes bytes, in a range up to `to`. After a failure a part of them may be in
 * the file, which may end at `furthest`.
 */
function putting(
  { oracle }: Session,
  tracked: TrackedFile,
  position: number,
  bytes: Uint8Array,
  { to = position + bytes.length, furthest = position + bytes.length } = {},
) {
  const { expected, touches } = tracked;
  const since = oracle.now();
  const end = position + bytes.length;
  const failed = () => {
    expected.mayExtendTo(furthest);
    expected.isAsFound(position, end);
  };
  const done = () => {
    if (bytes.length === 0) return;
    if (tracked.hasLostSince(since)) return failed();
    touches.addPastWriters(Math.min(position, expected.end), end);
    expected.settle(position, bytes);
    const at = tracked.view.firstDifference(expected.content, position, end);
    if (at >= 0) throw new Violation("file", `byte ${at} is not as it was put there`);
  };
  return { over: claim(tracked, { from: position, to, bytes }), done, failed };
}

// ---- reading ------------------------------------------------------------------------------------------------------

/** "reads": the result equals the file's bytes, unless they changed meanwhile. */
export function checkRead(
  tracked: TrackedFile,
  position: number,
  bytes: Uint8Array,
  since: number,
): void {
  if (tracked.touches.overlap(position, position + bytes.length, since)) return;
  const wrong = tracked.firstWrong(position, bytes);
  if (wrong < 0) return;
  const [is, right] = [bytes[wrong - position], tracked.expected.content.at(wrong)];
  throw new Violation("reads", `byte ${wrong} is read as ${is}, right is ${right}`);
}

function checkLength(
  tracked: TrackedFile,
  position: number,
  asked: number,
  got: number,
  since: number,
): void {
  if (!tracked.touches.isSizeStable(since)) return;
  const right = Math.max(0, Math.min(asked, tracked.view.size - position));
  if (got !== right) throw new Violation("reads", `${got} bytes at ${position}, right is ${right}`);
}

interface Reading {
  readonly position: number;
  readonly length: number;
  readonly aligned: boolean;
}

function readAt(session: Session, handle: Handle, action: Reading): Promise<void> {
  const { file, tracked } = handle;
  const since = session.oracle.now();
  const position = action.aligned ? file.alignDown(action.position) : action.position;
  const length = action.aligned ? file.alignUp(action.length) : action.length;
  const promise = !action.aligned
    ? file.readAt(position, length)
    : length % 3 > 0
    ? readInto(file, position, length)
    : file.readAtAligned(position, length);
  return session.call({
    name: "readAt",
    memory: length + 8192,
    promise,
    handle,
    done: (bytes) => {
      checkLength(tracked, position, length, bytes.length, since);
      checkRead(tracked, position, bytes, since);
      bytes.fill(0);
    },
  });
}

/** Reads into a buffer of the program. */
async function readInto(file: DmaFile, position: number, length: number): Promise<Uint8Array> {
  const buffer = file.allocBuffer(length);
  const read = await file.readInto(buffer, position);
  return buffer.bytes.subarray(0, read);
}

function drawReads(random: Random) {
  return {
    ranges: Array.from({ length: random.below(6) }, () => [place(random), size(random)] as const),
    maxGap: random.pick([0, 4096, 1 << 20]),
    maxMerged: random.pick([4096, 100_000, 1 << 20]),
    concurrency: random.pick([1, 2, 16]),
    stopAfter: random.pick([1, 100]),
  };
}

function readMany(session: Session, handle: Handle, action: ReturnType<typeof drawReads>): Over {
  const { file, tracked } = handle;
  const { maxGap, maxMerged, concurrency, stopAfter } = action;
  const options = { maxGap, maxMerged, concurrency };
  const since = session.oracle.now();
  const ranges = action.ranges.map(([position, length]) => ({ position, length }));
  const read = async () => {
    let index = 0;
    for await (const { position, length, bytes } of file.readMany(ranges, options)) {
      const range = ranges[index++];
      session.oracle.guard(() => {
        if (range?.position !== position || range.length !== length) {
          throw new Violation("reads", `readMany gives ${position} instead of ${range?.position}`);
        }
        checkLength(tracked, position, length, bytes.length, since);
        checkRead(tracked, position, bytes, since);
      });
      if (index === stopAfter) return;
    }
  };
  return session.call({ name: "readMany", promise: read(), memory: Infinity, handle });
}

// ---- writing ------------------------------------------------------------------------------------------------------

function drawWrite(random: Random) {
  return {
    block: random.below(12),
    blocks: random.below(4),
    buffer: random.chance(0.5),
    seed: random.seed(),
  };
}

function writeAt(session: Session, handle: Handle, action: ReturnType<typeof drawWrite>): Over {
  const { file, tracked } = handle;
  const unit = file.alignment.offset;
  const bytes = bytesOf(action.seed, action.blocks * unit);
  const writer = [...tracked.writers][0];
  // Beside a writer: before its start, or in a range that it has passed.
  const base = writer && action.block % 2 === 0 && writer.isOpened
    ? blockEnd(Math.min(writer.givenEnd, 2 ** 40))
    : 0;
  const position = base + (action.block >> 1) * unit;
  const end = position + bytes.length;
  if (!isFree(handle, position, end)) return;
  const put = putting(session, tracked, position, bytes);
  return session.call({
    ...put,
    name: "writeAt",
    promise: file.writeAt(action.buffer ? bufferOf(handle, bytes) : bytes.slice(), position),
    memory: bytes.length,
    handle,
    done: (written) => {
      if (written !== bytes.length) throw new Violation("file", `writeAt resolves to ${written}`);
      put.done();
    },
  });
}

function bufferOf({ file }: Handle, bytes: Uint8Array) {
  if (bytes.length === 0) return new Uint8Array(0);
  const buffer = file.allocBuffer(bytes.length);
  buffer.bytes.set(bytes);
  return buffer;
}

/** A length relative to the file's length. */
function drawLength(random: Random) {
  return {
    of: random.pick(["zero", "content", "size", "beyond"]),
    amount: random.pick([0, 1, 100, 512, 5000]),
  };
}

type Length = ReturnType<typeof drawLength>;

function lengthOf({ of, amount }: Length, { expected, view }: TrackedFile): number {
  switch (of) {
    case "zero":
      return amount;
    case "content":
      return Math.max(0, expected.end - amount);
    case "size":
      return Math.max(0, view.size - amount);
    case "beyond":
      return view.size + amount;
  }
}

function truncate(session: Session, handle: Handle, { to }: { to: Length }): Over {
  const { tracked } = handle;
  // The reservation of another handle may fail, and is cut off then.
  const isReserved = session.isShared(handle) && tracked.reserves.size > 0;
  const isTaken = tracked.claims.size + tracked.truncates.size > 0 || isReserved;
  if (isTaken || isBesideOthers(handle)) return;
  const length = lengthOf(to, tracked);
  const entry = { length };
  const { end } = tracked.expected;
  const since = session.oracle.now();
  tracked.truncates.add(entry);
  return session.call({
    name: "truncate",
    promise: handle.file.truncate(length),
    handle,
    over: () => tracked.truncates.delete(entry),
    // If only the sync before the truncate failed, the truncate was done.
    failed: () => tracked.hasLostSince(since) && tracked.expected.mayEndAt(end),
  });
}

interface Reservation {
  readonly length: number;
  readonly keepSize: boolean;
}

function preallocate(session: Session, handle: Handle, { length, keepSize }: Reservation): Over {
  const { tracked } = handle;
  const { claims, expected, truncates } = tracked;
  const mustNotGrow = [...claims].some(({ to }) => to === FURTHEST);
  // Bytes that another handle writes into space that is being reserved are lost (docs/limits.md).
  const isTaken = session.isShared(handle) &&
    (truncates.size > 0 || [...claims].some(({ to }) => to > expected.end));
  if (isBesideOthers(handle) || mustNotGrow || isTaken) return;
  const entry = { end: keepSize ? 0 : length };
  tracked.reserves.add(entry);
  if (!keepSize) tracked.expected.mayExtendTo(length);
  return session.call({
    name: "preallocate",
    promise: handle.file.preallocate(length, { keepSize }),
    handle,
    errnos: [Errno.EOPNOTSUPP],
    over: () => {
      tracked.reserves.delete(entry);
      // A writer's sync has not covered the new length.
      if (!keepSize) tracked.touches.addPastWriters(0, 0);
      if (!keepSize) tracked.expected.mayExtendTo(Math.min(length, tracked.view.size));
    },
  });
}

function deallocate(session: Session, handle: Handle, action: ByteRange): Over {
  const { tracked } = handle;
  const { position, length } = action;
  const end = position + length;
  if (!isFree(handle, position, end)) return;
  const zeros = new Uint8Array(Math.max(0, Math.min(end, tracked.expected.end) - position));
  return session.call({
    ...putting(session, tracked, position, zeros, { to: end }),
    name: "deallocate",
    promise: handle.file.deallocate(position, length),
    handle,
    errnos: [Errno.EOPNOTSUPP],
  });
}

function drawCopy(random: Random, slots: number) {
  return {
    target: random.below(slots),
    position: place(random),
    length: size(random),
    block: random.below(12),
  };
}

/** Copies a range of one file into another, or within one. */
function copy(session: Session, handle: Handle, action: ReturnType<typeof drawCopy>): Over {
  const { handle: other } = session.slots[action.target]!;
  if (!handle.readable || handle.closing || !other || !session.mayChange(other)) return;
  const source = handle.tracked;
  const target = other.tracked;
  const { position } = action;
  const { end: sourceEnd } = source.expected;
  const length = Math.max(0, Math.min(action.length, sourceEnd - position));
  const writer = [...target.writers][0];
  const base = writer?.isOpened ? blockEnd(Math.min(writer.givenEnd, 2 ** 40)) : 0;
  const targetPosition = base + action.block * 700;
  const end = targetPosition + length;
  // A writer behind this range would extend the file.
  const isLongEnough = source.writers.size + source.claims.size === 0 ||
    position + action.length <= sourceEnd;
  const isQuiet = sourceEnd === source.view.size && isLongEnough &&
    isFree(handle, position, position + action.length) &&
    source.expected.longest === sourceEnd && source.reserves.size === 0;
  const isOpen = !source.isCertain(position, position + length);
  const overlaps = source === target && blockStart(position) < blockEnd(end) &&
    blockStart(targetPosition) < blockEnd(position + length);
  if (length === 0 || !isQuiet || isOpen || overlaps || !isFree(other, targetPosition, end)) {
    return;
  }
  const bytes = source.expected.content.slice(position, position + length);
  // A copy beyond the end would include bytes that others append.
  const to = length < action.length ? FURTHEST : sourceEnd;
  const release = claim(source, { from: position, to, bytes: NOTHING });
  const put = putting(session, target, targetPosition, bytes, { furthest: blockEnd(end) });
  return session.call({
    name: "copyRangeTo",
    promise: handle.file.copyRangeTo(other.file, position, action.length, targetPosition),
    memory: 2 * action.length + 8192,
    handle: other,
    source: handle,
    over: () => {
      release();
      put.over();
    },
    done: (copied) => {
      if (copied === length) return put.done();
      throw new Violation("file", `copyRangeTo resolves to ${copied}, right is ${length}`);
    },
    failed: put.failed,
  });
}

export const rangeSteps = {
  readAt: reading(
    2,
    (random) => ({ position: place(random), length: size(random), aligned: random.chance(0.2) }),
    readAt,
    (file) => file.readAt(0, 100),
  ),
  readMany: reading(
    0.6,
    drawReads,
    readMany,
    (file) => Array.fromAsync(file.readMany([{ position: 0, length: 1 }])),
  ),
  writeAt: changing(
    2.5,
    drawWrite,
    writeAt,
    (file) => file.writeAt(new Uint8Array(file.alignment.offset), 0),
  ),
  truncate: changing(
    1.5,
    (random) => ({ to: drawLength(random) }),
    truncate,
    (file) => file.truncate(),
  ),
  preallocate: changing(
    1,
    (random) => ({ length: 1 + place(random), keepSize: random.chance(0.5) }),
    preallocate,
    (file) => file.preallocate(1),
  ),
  deallocate: changing(
    0.5,
    (random) => ({ position: place(random), length: 1 + size(random) }),
    deallocate,
    (file) => file.deallocate(0, 1),
  ),
  copy: onFile(2, drawCopy, copy),
};
