// What a round calls on writers and readers.

import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { toNodeWritable } from "../../node.ts";
import { pattern } from "../support/bytes.ts";
import { MOST } from "./file_actions.ts";
import { type Action, ENOUGH, type Round } from "./round.ts";

/** The end of a writer's bytes. */
const MOST_WRITTEN = 4 * MOST;

function onWriter(weight: number, use: (writer: DmaStreamWriter, round: Round) => unknown): Action {
  return [weight, (round) => round.writer && use(round.writer, round)];
}

function onReader(weight: number, use: (reader: DmaStreamReader, round: Round) => unknown): Action {
  return [weight, (round) => round.reader && use(round.reader, round)];
}

export async function startWriter(round: Round): Promise<void> {
  const { random, file } = round;
  if (!file || round.writer) return;
  const append = random.chance(0.2);
  const position = append || round.isAppending ? undefined : random.length(MOST);
  const writer = new DmaStreamWriter(file, {
    ...random.options({
      bufferSize: random.pick([0, 4096, 5000, 65_536, 1 << 20]),
      writeBehind: random.between(-1, 6),
      sizeHint: random.length(MOST),
      preallocate: random.chance(0.5),
      syncOnClose: random.chance(0.5),
      closeFile: random.chance(0.5),
    }),
    ...position === undefined ? {} : { position },
    ...append ? { append } : {},
  });
  // The start of an appending writer is known when it is open.
  if (position === undefined) await writer.flushAligned();
  round.start = position ?? writer.currentPos;
  round.writer = writer;
}

function nextChunk({ nextPos }: DmaStreamWriter, { random, seed }: Round) {
  const most = nextPos > MOST_WRITTEN ? 0 : random.pick([200, 20_000, MOST]);
  return random.chunk(nextPos, seed, most);
}

function nextChunks({ nextPos }: DmaStreamWriter, { random, seed }: Round) {
  let at = nextPos;
  return Array.from({ length: nextPos > MOST_WRITTEN ? 1 : random.below(20) }, () => {
    const bytes = pattern(random.length(30_000), at, seed);
    at += bytes.length;
    return bytes;
  });
}

async function write(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { data, spoil } = nextChunk(writer, round);
  const writing = writer.write(data);
  if (round.random.chance(0.02)) spoil?.();
  await writing;
}

async function writeBuffer(writer: DmaStreamWriter, { random, seed, file }: Round): Promise<void> {
  const buffer = file!.allocBuffer(1 + random.below(writer.nextPos > MOST_WRITTEN ? 1 : 50_000));
  buffer.bytes.set(pattern(buffer.length, writer.nextPos, seed));
  await writer.writeBuffer(buffer);
}

/** Writes through a lock, and releases it or ends the stream. */
async function writeLocked(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { random } = round;
  const lock = writer.getWriter();
  const calls: Promise<void>[] = [];
  lock.closed.catch(() => {});
  lock.ready.catch(() => {});
  for (let count = random.below(10); count > 0; count--) {
    const { data } = nextChunk(writer, round);
    calls.push(round.call("write of a lock", () => lock.write(data)));
    if (random.chance(0.3)) await calls.at(-1);
  }
  if (random.chance(0.1)) calls.push(round.call("close of a lock", () => lock.close()));
  else if (random.chance(0.05)) {
    calls.push(round.call("abort of a lock", () => lock.abort(ENOUGH)));
  }
  if (random.chance(0.5)) await Promise.all(calls);
  lock.releaseLock();
  await Promise.all(calls);
}

async function pipeInto(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { random } = round;
  const chunks = nextChunks(writer, round);
  const options = random.options({
    preventClose: random.chance(0.9),
    preventAbort: random.chance(0.5),
    preventCancel: random.chance(0.5),
    signal: AbortSignal.timeout(random.below(30)),
  });
  await ReadableStream.from(chunks).pipeTo(writer, options);
}

async function throughNode(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { random } = round;
  const chunks = nextChunks(writer, round);
  const stream: Writable = toNodeWritable(writer);
  stream.on("error", () => {});
  if (random.chance(0.3)) return await pipeline(Readable.from(chunks), stream);
  for (const chunk of chunks) stream.write(chunk);
  if (random.chance(0.5)) writer.flushSync();
  if (random.chance(0.5)) stream.destroy(random.chance(0.5) ? ENOUGH : undefined);
  else stream.end();
  await writer.closed;
}

function flushSync(writer: DmaStreamWriter, round: Round): void {
  const { random, start } = round;
  const given = writer.nextPos;
  writer.flushSync(random.options({ durable: random.chance(0.3) }));
  const { currentFlushedPos } = writer;
  round.must(currentFlushedPos >= given, `Flushed to ${currentFlushedPos} of ${given}`);
  round.promise(start, given);
}

function flush(name: "sync" | "flushAligned"): Action {
  return onWriter(3, async (writer, round) => {
    const { random, start } = round;
    const tail = random.chance(0.5);
    const given = writer.nextPos;
    const end = await writer[name]({ tail });
    const isWhole = !tail || end >= given || end === writer.currentFlushedPos;
    round.must(isWhole, `${end} of ${given}`);
    round.promise(start, end);
  });
}

function newReader({ random, file }: Round, closeFile: boolean): DmaStreamReader {
  const start = random.length(MOST);
  return new DmaStreamReader(file!, {
    ...random.options({
      start,
      end: start + random.length(MOST),
      bufferSize: random.pick([0, 4096, 20_000, 1 << 20]),
      readAhead: random.below(6),
    }),
    closeFile,
  });
}

/** Reads some chunks of the stream, or into views of all kinds. */
async function read(reader: DmaStreamReader, round: Round): Promise<void> {
  const { random } = round;
  const lock = random.chance(0.5) ? reader.getReader() : reader.getReader({ mode: "byob" });
  const next = () => {
    if (!(lock instanceof ReadableStreamBYOBReader)) return lock.read();
    const length = random.length(100_000);
    const options = random.chance(0.2) ? { maxByteLength: length + 100 } : undefined;
    const buffer = new ArrayBuffer(length + 8, options);
    return lock.read(new Uint8Array(buffer, random.below(8), length));
  };
  try {
    for (let count = random.below(8); count > 0; count--) {
      const at = reader.currentPos;
      const { done, value } = await next();
      if (done) break;
      round.check(value!, at);
      if (random.chance(0.05)) reader.skip(random.length(20_000));
    }
    if (random.chance(0.03)) await lock.cancel(ENOUGH);
  } finally {
    lock.releaseLock();
  }
}

/** Copies the rest of a new reader to another file. */
async function pipeAway(round: Round): Promise<void> {
  const { random, file, others, directory } = round;
  if (!file) return;
  const reader = newReader(round, false);
  const at = reader.currentPos;
  const target = await DmaFile.temp({ dir: directory });
  others.push(reader, target);
  const writer = new DmaStreamWriter(target, { closeFile: false, bufferSize: 20_000 });
  const signal = AbortSignal.timeout(random.below(10));
  await reader.pipeTo(writer, random.chance(0.2) ? { signal } : {});
  round.check(await target.readAt(0, MOST * 4), at);
}

export const streamActions: Readonly<Record<string, Action>> = {
  DmaStreamWriter: [2, startWriter],
  "writer.write": onWriter(20, write),
  "writer.writeBuffer": onWriter(4, writeBuffer),
  "writer.getWriter": onWriter(3, writeLocked),
  "writer.currentPos": onWriter(2, ({ currentFlushedPos, currentPos, nextPos }, round) => {
    const isInOrder = currentFlushedPos <= currentPos && currentPos <= nextPos;
    round.must(isInOrder, `${currentFlushedPos}, ${currentPos}, ${nextPos}`);
  }),
  // Waiting for it here would never end.
  "writer.closed": onWriter(1, (writer, round) => void round.call("closed", () => writer.closed)),
  "writer.flushSync": onWriter(2, flushSync),
  "writer.sync": flush("sync"),
  "writer.flushAligned": flush("flushAligned"),
  "writer.close": onWriter(0.3, (writer, round) => round.closeWriter(writer)),
  "writer.seal": onWriter(0.3, (writer, round) => round.closeWriter(writer, "seal")),
  "writer.abort": onWriter(0.2, (writer) => writer.abort(ENOUGH)),
  "pipe into the writer": onWriter(2, pipeInto),
  toNodeWritable: onWriter(0.7, throughNode),
  // At its end a reader that closes the file closes it under all other calls.
  DmaStreamReader: [2, (round) => {
    if (round.file) round.reader ??= newReader(round, round.random.chance(0.05));
  }],
  "reader.read": onReader(8, read),
  // During another read it moves that read's position.
  "reader.skip": onReader(1, (reader, { random }) => {
    if (!reader.locked) reader.skip(random.length(1000));
  }),
  "reader.close": onReader(0.5, async (reader, round) => {
    round.reader = undefined;
    await reader.close();
  }),
  "reader.pipeTo": [2, pipeAway],
};
