// The actions on a DmaStreamReader.

import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { toNodeReadable } from "../../node.ts";
import { MOST } from "./file_actions.ts";
import { ENOUGH } from "./judge.ts";
import { mostly, someLength, someOptions } from "./odd.ts";
import { type Action, action, actionsOn, type Round } from "./round.ts";

const onReader = actionsOn("DmaStreamReader", ({ reader }) => reader);

function newReader(round: Round, closeFile: boolean): DmaStreamReader {
  const { random, file } = round;
  const start = someLength(random, MOST);
  return new DmaStreamReader(mostly(random, file!), {
    ...someOptions(random, {
      start: () => start,
      end: () => start + someLength(random, MOST),
      bufferSize: () => random.pick([0, 4096, 20_000, 1 << 20]),
      readAhead: () => random.below(6),
    }),
    closeFile,
  });
}

function startReader(round: Round): void {
  // At its end it would close the file under all other calls.
  if (round.file && !round.reader) round.reader = newReader(round, round.random.chance(0.05));
}

async function readSome(reader: DmaStreamReader, round: Round): Promise<void> {
  const { random } = round;
  const lock = reader.getReader();
  try {
    for (let count = random.below(8); count > 0; count--) {
      const at = reader.currentPos;
      const { done, value } = await lock.read();
      if (done) break;
      round.check(value, at);
      if (random.chance(0.1)) reader.skip(mostly(random, someLength(random, 20_000)));
    }
    if (random.chance(0.05)) await lock.cancel(ENOUGH);
  } finally {
    lock.releaseLock();
  }
}

async function readIntoOwn(reader: DmaStreamReader, round: Round): Promise<void> {
  const { random } = round;
  const lock = reader.getReader({ mode: "byob" });
  try {
    for (let count = random.below(8); count > 0; count--) {
      const at = reader.currentPos;
      const length = someLength(random, 100_000);
      const buffer = random.chance(0.2)
        ? new ArrayBuffer(length + 8, { maxByteLength: length + 100 })
        : new ArrayBuffer(length + 8);
      const view = new Uint8Array(buffer, random.below(8), length);
      const reading = lock.read(mostly(random, view));
      if (buffer.resizable && random.chance(0.2)) {
        try {
          buffer.resize(1);
        } catch {
          // The stream owns the buffer.
        }
      }
      const { done, value } = await reading;
      if (done) break;
      round.check(value, at);
    }
  } finally {
    lock.releaseLock();
  }
}

/** Copies the rest of a new reader to another file. */
async function pipeAway(round: Round): Promise<void> {
  const { random, file } = round;
  if (!file) return;
  const reader = newReader(round, false);
  round.others.push(reader);
  const at = reader.currentPos;
  const target = await DmaFile.temp({ dir: round.directory });
  round.others.push(target);
  const writer = new DmaStreamWriter(target, { closeFile: false, bufferSize: 20_000 });
  const signal = AbortSignal.timeout(random.below(10));
  await reader.pipeTo(writer, random.chance(0.2) ? mostly(random, { signal }) : {});
  round.check(await target.readAt(0, MOST * 4), at);
}

export const readerActions: readonly Action[] = [
  action("DmaFile.readable", 2, startReader),
  onReader("currentPos", 4, readSome),
  onReader("getReader", 4, readIntoOwn),
  onReader("skip", 1, (reader, { random }) => {
    // During another read it moves that read's position.
    if (!reader.locked) reader.skip(mostly(random, someLength(random, 1000)));
  }),
  onReader("close", 0.5, async (reader, round) => {
    round.reader = undefined;
    await reader.close();
    Deno.inspect(reader);
  }),
  action("DmaStreamReader.pipeTo", 2, pipeAway),
  action("toNodeReadable", 1, async (round) => {
    if (!round.file) return;
    const reader = newReader(round, false);
    round.others.push(reader);
    let at = reader.currentPos;
    let left = round.random.below(5);
    for await (const chunk of toNodeReadable(reader)) {
      round.check(chunk, at);
      at += chunk.length;
      if (left-- === 0) break;
    }
  }),
];
