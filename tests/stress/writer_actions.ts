// The actions on a DmaStreamWriter.

import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DmaStreamWriter } from "../../mod.ts";
import { toNodeWritable } from "../../node.ts";
import { content } from "../faults/content.ts";
import { MOST } from "./file_actions.ts";
import { ENOUGH } from "./judge.ts";
import { mostly, someChunk, someLength, someOptions } from "./odd.ts";
import { type Action, action, actionsOn, type Round } from "./round.ts";

/** The end of a writer's bytes. */
const MOST_WRITTEN = 4 * MOST;

const onWriter = actionsOn("DmaStreamWriter", ({ writer }) => writer);

export async function startWriter(round: Round): Promise<void> {
  const { random, file } = round;
  if (!file) return;
  const append = random.chance(0.2);
  const position = append || round.isAppending ? undefined : someLength(random, MOST);
  const writer = new DmaStreamWriter(mostly(random, file), {
    ...someOptions(random, {
      bufferSize: () => random.pick([0, 4096, 5000, 65_536, 1 << 20]),
      writeBehind: () => random.between(-1, 6),
      sizeHint: () => someLength(random, MOST),
      preallocate: () => random.chance(0.5),
      syncOnClose: () => random.chance(0.5),
      closeFile: () => random.chance(0.5),
    }),
    ...position === undefined ? {} : { position },
    ...append ? { append } : {},
  });
  // The start of an appending writer is known when it is open.
  if (position === undefined) await writer.flushAligned();
  round.start = position ?? writer.currentPos;
  round.writer = writer;
}

function nextChunk(writer: DmaStreamWriter, round: Round) {
  const { random, seed } = round;
  const most = writer.nextPos > MOST_WRITTEN ? 0 : random.pick([200, 20_000, MOST]);
  return someChunk(random, writer.nextPos, seed, most);
}

function nextChunks(
  { nextPos }: DmaStreamWriter,
  { random, seed }: Round,
): Uint8Array<ArrayBuffer>[] {
  let at = nextPos;
  return Array.from({ length: nextPos > MOST_WRITTEN ? 1 : random.below(20) }, () => {
    const bytes = content(at, someLength(random, 30_000), seed).slice();
    at += bytes.length;
    return bytes;
  });
}

async function write(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { random } = round;
  const { data, spoil } = nextChunk(writer, round);
  const writing = writer.write(mostly(random, data));
  if (spoil && random.chance(0.02)) spoil();
  await writing;
}

async function writeBuffer(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { random, seed, file } = round;
  const buffer = file!.allocBuffer(1 + random.below(writer.nextPos > MOST_WRITTEN ? 1 : 50_000));
  buffer.bytes.set(content(writer.nextPos, buffer.length, seed));
  const again = random.chance(0.1);
  const writing = [writer.writeBuffer(mostly(random, buffer))];
  if (again) writing.push(writer.writeBuffer(buffer).catch(() => {}));
  await Promise.all(writing);
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
    calls.push(round.call("write of a lock", () => lock.write(mostly(random, data))));
    if (random.chance(0.3)) await calls.at(-1);
  }
  if (random.chance(0.1)) {
    round.mayBePublished = true;
    calls.push(round.call("close of a lock", () => lock.close()));
  } else if (random.chance(0.05)) {
    calls.push(round.call("abort of a lock", () => lock.abort(ENOUGH)));
  }
  if (random.chance(0.5)) await Promise.all(calls);
  lock.releaseLock();
  await Promise.all(calls);
}

async function pipeInto(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { random } = round;
  const chunks = nextChunks(writer, round);
  const options = someOptions(random, {
    preventClose: () => random.chance(0.9),
    preventAbort: () => random.chance(0.5),
    preventCancel: () => random.chance(0.5),
    signal: () => AbortSignal.timeout(random.below(30)),
  });
  round.mayBePublished = true;
  await ReadableStream.from(chunks).pipeTo(writer, options);
}

async function throughNode(writer: DmaStreamWriter, round: Round): Promise<void> {
  const { random } = round;
  const chunks = nextChunks(writer, round);
  const stream: Writable = toNodeWritable(writer);
  stream.on("error", () => {});
  if (random.chance(0.3)) {
    round.mayBePublished = true;
    return await pipeline(Readable.from(chunks), stream);
  }
  for (const chunk of chunks) stream.write(chunk);
  if (random.chance(0.5)) writer.flushSync();
  if (random.chance(0.5)) stream.destroy(random.chance(0.5) ? ENOUGH : undefined);
  else {
    round.mayBePublished = true;
    stream.end();
  }
  await writer.closed;
}

function flushSync(writer: DmaStreamWriter, round: Round): void {
  const { random, start } = round;
  const given = writer.nextPos;
  writer.flushSync(someOptions(random, { durable: () => random.chance(0.3) }));
  const { currentFlushedPos } = writer;
  round.must(currentFlushedPos >= given, `Flushed to ${currentFlushedPos} of ${given}`);
  round.promise(start, given);
}

function flush(name: "sync" | "flushAligned"): Action {
  return onWriter(name, 3, async (writer, round) => {
    const { random, start } = round;
    const options = mostly(random, { tail: random.chance(0.5) });
    const given = writer.nextPos;
    const end = await writer[name](options);
    round.must(
      options?.tail !== true || end >= given || end === writer.currentFlushedPos,
      `${end} of ${given}`,
    );
    round.promise(start, end);
  });
}

export const writerActions: readonly Action[] = [
  action("DmaFile.writable", 2, async (round) => {
    if (!round.writer) await startWriter(round);
  }),
  onWriter("write", 20, write),
  onWriter("writeBuffer", 4, writeBuffer),
  onWriter("getWriter", 3, writeLocked),
  onWriter("currentPos", 2, ({ currentFlushedPos, currentPos, nextPos }, round) =>
    round.must(
      currentFlushedPos <= currentPos && currentPos <= nextPos,
      `${currentFlushedPos}, ${currentPos}, ${nextPos}`,
    )),
  onWriter("currentFlushedPos", 1, (writer) => Deno.inspect(writer)),
  onWriter("nextPos", 1, (writer) => structuredClone(writer)),
  // Waiting for it here would never end.
  onWriter("closed", 1, (writer, round) => void round.call("closed", () => writer.closed)),
  onWriter("flushSync", 2, flushSync),
  flush("sync"),
  flush("flushAligned"),
  onWriter("close", 0.3, (writer, round) => round.closeWriter(writer)),
  onWriter("seal", 0.3, (writer, round) => round.closeWriter(writer, "seal")),
  onWriter("abort", 0.2, (writer) => writer.abort(ENOUGH)),
  action("WritableStream", 2, (round) => round.writer && pipeInto(round.writer, round)),
  action("toNodeWritable", 0.7, (round) => round.writer && throughNode(round.writer, round)),
];
