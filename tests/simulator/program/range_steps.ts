// Steps that read, write, truncate and copy at positions.

import type { DmaError, DmaFile } from "../../../mod.ts";
import { Errno } from "../../../src/engine/linux.ts";
import { bytesOf } from "../files.ts";
import { blockEnd, blockStart, type Claim } from "../oracle/ranges.ts";
import { violate } from "../oracle/promises.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import type { Handle } from "./session.ts";
import { changing, onFile, place, reading, size } from "./step.ts";

const NOTHING = new Uint8Array(0);

/** The maximum length of a file. */
const FURTHEST = 2 ** 50;

/** Whether the handles of a file do not share its length (docs/limits.md). */
export function isOnServer({ world: { kind } }: TrackedFile): boolean {
  return kind.server !== undefined;
}

/** Whether a range is free: no running call uses it, and no writer has written or will write there. */
function isFree(handle: Handle, from: number, to: number): boolean {
  const { tracked } = handle;
  if (tracked.truncates.size > 0 || tracked.isClaimed(from, to)) return false;
  // On a server the writer of another handle cuts off bytes in space that its handle has reserved (docs/limits.md).
  const { end, longest } = tracked.expected;
  if (to > end && longest > end && isBesideOthers(handle)) return false;
  return [...tracked.writers].every((writer) =>
    writer.isOpened && !writer.piped &&
    (to <= blockStart(writer.start) ||
      (from >= blockEnd(writer.givenEnd) && !writer.facts.appendsAlways))
  );
}

/** Whether another handle has an open writer that this handle must not disturb. */
function isBesideOthers({ tracked, file }: Handle): boolean {
  return [...tracked.writers].some(({ stream, facts }) =>
    stream.file !== file && (isOnServer(tracked) || facts.appendsAlways)
  );
}

/** The start of the free range behind a writer. */
function behindWriter({ writers }: TrackedFile): number {
  const [writer] = writers;
  return writer?.isOpened ? blockEnd(Math.min(writer.givenEnd, 2 ** 40)) : 0;
}

/** Claims a range for a call. Writers avoid it from then on. */
function claim(tracked: TrackedFile, range: Claim): () => void {
  tracked.claims.add(range);
  for (const writer of tracked.writers) {
    if (range.from >= writer.givenEnd) writer.wall = Math.min(writer.wall, blockStart(range.from));
  }
  return () => tracked.claims.delete(range);
}

/** The expectations of a call that writes up to `to`. If it fails, the file may have a part, and end at `furthest`. */
function putting(
  { session: { world }, tracked }: Handle,
  position: number,
  bytes: Uint8Array,
  { to = position + bytes.length, furthest = position + bytes.length } = {},
) {
  const { expected, touches } = tracked;
  const since = world.clock.tick();
  const end = position + bytes.length;
  const failed = () => {
    touches.addPastWriters(Math.min(position, expected.end), furthest);
    expected.mayExtendTo(furthest);
    expected.isAsFound(position, end);
  };
  const done = () => {
    if (bytes.length === 0) return;
    if (tracked.hasLostSince(since)) return failed();
    touches.addPastWriters(Math.min(position, expected.end), end);
    const at = expected.settle(position, bytes);
    if (at >= 0) violate("file", `byte ${at} is not as it was put there`);
  };
  return { since, over: claim(tracked, { from: position, to, bytes }), done, failed };
}

/** "reads": the result equals the file's bytes, unless they changed since; all of them if a length was `asked` for. */
export function checkRead(
  tracked: TrackedFile,
  since: number,
  position: number,
  bytes: Uint8Array,
  asked?: number,
): void {
  const { touches, view, expected } = tracked;
  if (asked !== undefined && touches.isSizeStable(since)) {
    const right = Math.max(0, Math.min(asked, view.size - position));
    if (bytes.length !== right) {
      violate("reads", `${bytes.length} bytes at ${position}, right is ${right}`);
    }
  }
  if (touches.overlap(position, position + bytes.length, since)) return;
  const wrong = tracked.firstWrong(position, bytes);
  if (wrong < 0) return;
  const [is, right] = [bytes[wrong - position], expected.content.at(wrong)];
  violate("reads", `byte ${wrong} is read as ${is}, right is ${right}`);
}

async function readInto(file: DmaFile, position: number, length: number): Promise<Uint8Array> {
  const buffer = file.allocBuffer(length);
  const read = await file.readInto(buffer, position);
  return buffer.bytes.subarray(0, read);
}

function bufferOf({ file }: Handle, bytes: Uint8Array) {
  if (bytes.length === 0) return new Uint8Array(0);
  const buffer = file.allocBuffer(bytes.length);
  buffer.bytes.set(bytes);
  return buffer;
}

export const rangeSteps = {
  readAt: reading(
    2,
    (random) => ({ position: place(random), length: size(random), aligned: random.chance(0.2) }),
    (handle, action) => {
      const { file, tracked } = handle;
      const since = handle.session.world.clock.tick();
      const position = action.aligned ? file.alignDown(action.position) : action.position;
      const length = action.aligned ? file.alignUp(action.length) : action.length;
      const promise = !action.aligned
        ? file.readAt(position, length)
        : length % 3 > 0
        ? readInto(file, position, length)
        : file.readAtAligned(position, length);
      return handle.call("readAt", promise, {
        memory: length + 8192,
        done: (bytes) => {
          checkRead(tracked, since, position, bytes, length);
          bytes.fill(0);
        },
      });
    },
    (file) => file.readAt(0, 100),
  ),
  readMany: reading(
    0.6,
    (random) => ({
      ranges: Array.from({ length: random.below(6) }, () => {
        return { position: place(random), length: size(random) };
      }),
      maxGap: random.pick([0, 4096, 1 << 20]),
      maxMerged: random.pick([4096, 100_000, 1 << 20]),
      concurrency: random.pick([1, 2, 16]),
      stopAfter: random.pick([1, 100]),
    }),
    (handle, { ranges, stopAfter, ...options }) => {
      const { session, file, tracked } = handle;
      const since = session.world.clock.tick();
      const read = async () => {
        let index = 0;
        for await (const { position, length, bytes } of file.readMany(ranges, options)) {
          const range = ranges[index++];
          session.oracle.guard(() => {
            if (range?.position !== position || range.length !== length) {
              violate("reads", `readMany gives ${position}, not ${range?.position}`);
            }
            checkRead(tracked, since, position, bytes, length);
          });
          if (index === stopAfter) return;
        }
      };
      return handle.call("readMany", read(), { memory: Infinity });
    },
    (file) => Array.fromAsync(file.readMany([{ position: 0, length: 1 }])),
  ),
  writeAt: changing(
    2.5,
    (random) => ({
      block: random.below(12),
      blocks: random.below(4),
      buffer: random.chance(0.5),
      seed: random.seed(),
    }),
    (handle, { block, blocks, buffer, seed }) => {
      const { file, tracked } = handle;
      const unit = file.alignment.offset;
      const bytes = bytesOf(seed, blocks * unit);
      // Beside a writer: before its start, or in a range that it has passed.
      const base = block % 2 === 0 ? behindWriter(tracked) : 0;
      const position = base + (block >> 1) * unit;
      if (!isFree(handle, position, position + bytes.length)) return;
      const put = putting(handle, position, bytes);
      const data = buffer ? bufferOf(handle, bytes) : bytes.slice();
      return handle.call("writeAt", file.writeAt(data, position), {
        ...put,
        memory: bytes.length,
        done: (written) => {
          if (written === bytes.length) return put.done();
          violate("file", `writeAt resolves to ${written}`);
        },
        failed: (error) => {
          put.failed();
          if ((error as DmaError).errno !== Errno.EBADF) handle.lacksBytes = true;
        },
      });
    },
    (file) => file.writeAt(new Uint8Array(file.alignment.offset), 0),
  ),
  truncate: changing(
    1.5,
    (random) => ({
      /** A length relative to the file's length. */
      to: {
        of: random.pick(["zero", "content", "size", "beyond"]),
        amount: random.pick([0, 1, 100, 512, 5000]),
      },
    }),
    (handle, { to: { of, amount } }) => {
      const { tracked, tracked: { expected, view } } = handle;
      // The reservation of another handle may fail, and is cut off then.
      const isReserved = handle.isShared && isOnServer(tracked) && tracked.reserves.size > 0;
      const isTaken = tracked.claims.size + tracked.truncates.size > 0 || isReserved;
      if (isTaken || isBesideOthers(handle)) return;
      const lengths = {
        zero: amount,
        content: Math.max(0, expected.end - amount),
        size: Math.max(0, view.size - amount),
        beyond: view.size + amount,
      };
      const entry = { length: lengths[of] };
      const { end } = expected;
      const since = handle.session.world.clock.tick();
      tracked.truncates.add(entry);
      return handle.call("truncate", handle.file.truncate(entry.length), {
        over: () => tracked.truncates.delete(entry),
        // If only the sync before the truncate failed, the truncate was done.
        failed: () => tracked.hasLostSince(since) && expected.mayEndAt(end),
      });
    },
    (file) => file.truncate(),
  ),
  preallocate: changing(
    1,
    (random) => ({ length: 1 + place(random), keepSize: random.chance(0.5) }),
    (handle, { length, keepSize }) => {
      const { tracked, tracked: { claims, expected, truncates, reserves } } = handle;
      const mustNotGrow = [...claims].some(({ to }) => to === FURTHEST);
      // On a server bytes that another handle writes into space that is being reserved are lost (docs/limits.md).
      const isTaken = handle.isShared && isOnServer(tracked) &&
        (truncates.size > 0 || [...claims].some(({ to }) => to > expected.end));
      if (isBesideOthers(handle) || mustNotGrow || isTaken) return;
      const entry = { end: keepSize ? 0 : length };
      reserves.add(entry);
      if (!keepSize) expected.mayExtendTo(length);
      return handle.call("preallocate", handle.file.preallocate(length, { keepSize }), {
        errnos: [Errno.EOPNOTSUPP],
        over: () => {
          reserves.delete(entry);
          if (keepSize) return;
          // A writer's sync has not covered the new length.
          tracked.touches.addPastWriters(0, 0);
          expected.mayExtendTo(Math.min(length, tracked.view.size));
        },
      });
    },
    (file) => file.preallocate(1),
  ),
  deallocate: changing(
    0.5,
    (random) => ({ position: place(random), length: 1 + size(random) }),
    (handle, { position, length }) => {
      const { tracked } = handle;
      const to = position + length;
      if (!isFree(handle, position, to)) return;
      const zeros = new Uint8Array(Math.max(0, Math.min(to, tracked.expected.end) - position));
      const put = putting(handle, position, zeros, { to });
      return handle.call("deallocate", handle.file.deallocate(position, length), {
        ...put,
        done: () => {
          put.done();
          // Bytes behind the end may have become content meanwhile.
          tracked.expected.isAsFound(position + zeros.length, to);
        },
        errnos: [Errno.EOPNOTSUPP],
      });
    },
    (file) => file.deallocate(0, 1),
  ),
  copy: onFile(
    2,
    (random, slots) => ({
      target: random.below(slots),
      position: place(random),
      length: size(random),
      block: random.below(12),
    }),
    (handle, { target: slot, position, length: asked, block }) => {
      const { handle: other } = handle.session.slots[slot]!;
      if (!handle.readable || handle.closing || !other || !other.isChangeable) return;
      const { tracked: source, tracked: { expected } } = handle;
      const target = other.tracked;
      const { end } = expected;
      const length = Math.max(0, Math.min(asked, end - position));
      const to = behindWriter(target) + block * 700;
      // A writer behind this range would extend the file.
      const isLongEnough = source.writers.size + source.claims.size === 0 ||
        position + asked <= end;
      const isQuiet = end === source.view.size && isLongEnough && expected.longest === end &&
        isFree(handle, position, position + asked) &&
        source.reserves.size + source.emptying === 0 &&
        source.isCertain(position, position + length);
      const overlaps = source === target && blockStart(position) < blockEnd(to + length) &&
        blockStart(to) < blockEnd(position + length);
      if (length === 0 || !isQuiet || overlaps || !isFree(other, to, to + length)) return;
      const bytes = expected.content.slice(position, position + length);
      // A copy beyond the end would include bytes that others append.
      const last = length < asked ? FURTHEST : end;
      const release = claim(source, { from: position, to: last, bytes: NOTHING });
      const put = putting(other, to, bytes, { furthest: blockEnd(to + length) });
      const copying = handle.file.copyRangeTo(other.file, position, asked, to);
      return handle.call("copyRangeTo", copying, {
        memory: 2 * asked + 8192,
        handles: [handle, other],
        over: () => {
          release();
          put.over();
        },
        done: (copied) => {
          // A server may have lost bytes of the source.
          if (source.hasLostSince(put.since)) return put.failed();
          if (copied === length) return put.done();
          violate("file", `copyRangeTo resolves to ${copied}, right is ${length}`);
        },
        failed: put.failed,
      });
    },
  ),
};
