// What a round calls on files.

import { DmaFile } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { type Action, ENOUGH, type Round } from "./round.ts";

export const MOST = 400_000;

/** An action on the file of a round, if there is one. */
function onFile(weight: number, use: (file: DmaFile, round: Round) => unknown): Action {
  return [weight, (round) => round.file && use(round.file, round)];
}

/** The same, in rounds in which bytes may be removed. */
function removing(weight: number, use: (file: DmaFile, round: Round) => unknown): Action {
  return onFile(weight, (file, round) => round.isDestructive && use(file, round));
}

/** Opens the round's file in one of many ways, as the first action of a round. */
export async function openFile(round: Round): Promise<void> {
  const { random, path } = round;
  const direct = random.pick(["prefer", "off"] as const);
  const name = random.chance(0.2) ? new URL(`file://${path}`) : path;
  const before = async () => {
    const length = random.length(MOST);
    await Deno.writeFile(path, pattern(length, 0, round.seed));
    round.promise(0, length);
  };
  round.file = await random.pick([
    () => DmaFile.create(name, { atomic: round.isAtomic = true, direct }),
    async () => {
      await before();
      return await DmaFile.open(name, { write: true, direct });
    },
    async () => {
      // Removed bytes would shift all later ones.
      round.isAppending = true;
      round.isDestructive = false;
      if (random.chance(0.5)) await before();
      return await DmaFile.open(name, { append: true, create: true });
    },
    () => DmaFile.open(name, { write: true, createNew: true, direct }),
    () => DmaFile.create(name, { direct, mode: 0o600 }),
  ])();
}

async function writeBlocks(file: DmaFile, round: Round): Promise<void> {
  const { random, seed } = round;
  const position = file.alignDown(random.length(MOST));
  const buffer = file.allocBuffer(1 + random.below(50_000));
  buffer.bytes.set(pattern(buffer.length, position, seed));
  await file.writeAt(random.chance(0.5) ? buffer : buffer.bytes.slice(), position);
  // A writer, also one that was opened meanwhile, writes the whole block of its tail too.
  if (!round.writer) round.promise(position, position + buffer.length);
}

async function writeChunk(file: DmaFile, { random, seed }: Round): Promise<void> {
  const position = file.alignDown(random.length(MOST));
  const { data, spoil } = random.chunk(position, seed, 50_000);
  const options = random.options({ atomic: random.chance(0.1) });
  const writing = file.writeAt(data as Uint8Array, position, options);
  if (random.chance(0.3)) spoil?.();
  await writing;
}

async function readInto(file: DmaFile, round: Round): Promise<void> {
  const { random } = round;
  const buffer = file.allocBuffer(1 + random.below(50_000));
  const position = file.alignDown(random.length(MOST));
  const read = await file.readInto(buffer, position);
  round.check(buffer.bytes.subarray(0, read), position);
}

async function readMany(file: DmaFile, round: Round): Promise<void> {
  const { random } = round;
  const ranges = Array.from({ length: random.below(30) }, () => ({
    position: random.length(MOST),
    length: random.length(20_000),
  }));
  const options = random.options({
    maxMerged: random.length(MOST),
    maxGap: random.length(10_000),
    concurrency: random.between(1, 20),
  });
  let left = random.chance(0.3) ? random.below(10) : Infinity;
  for await (const { bytes, position } of file.readMany(ranges, options)) {
    round.check(bytes, position);
    if (left-- === 0) break;
  }
}

async function copyAway(file: DmaFile, round: Round): Promise<void> {
  const { random } = round;
  const target = await DmaFile.temp({ dir: round.directory });
  round.others.push(target);
  const [position, length] = [random.length(MOST), random.length(100_000)];
  const copied = await file.copyRangeTo(target, position, length, position);
  round.check(await target.readAt(position, copied), position, copied);
}

async function openAgain(round: Round): Promise<void> {
  const { random } = round;
  const path = random.chance(0.8) ? round.path : round.otherPath;
  const options = random.options({
    write: round.isDestructive,
    truncate: round.isDestructive,
    direct: random.pick(["require", "prefer", "off"] as const),
  });
  const file = await DmaFile.open(path, options);
  round.others.push(file);
  const position = random.length(MOST);
  if (path === round.path) round.check(await file.readAt(position, 10_000), position);
}

/** All ends of the file, several at once. */
async function closeAtOnce(file: DmaFile, round: Round): Promise<void> {
  const { random, writer, reader } = round;
  const ends: (() => unknown)[] = [
    () => file.close(),
    () => file[Symbol.asyncDispose](),
    () => file.readAt(0, 1000),
    () => file.sync(),
  ];
  if (reader) ends.push(() => reader.close(), () => reader[Symbol.asyncDispose]());
  if (writer) {
    ends.push(
      () => round.closeWriter(writer),
      () => round.closeWriter(writer, "seal"),
      () => writer.abort(ENOUGH),
      () => writer.sync({ tail: true }),
      () => writer[Symbol.asyncDispose](),
    );
  }
  const some = Array.from({ length: random.between(1, 4) }, () => random.pick(ends));
  await Promise.all(some.map((end) => round.call(`at once: ${end}`, end)));
}

export const fileActions: Readonly<Record<string, Action>> = {
  "DmaFile.open": [2, openAgain],
  readAt: onFile(6, async (file, round) => {
    const [position, length] = [round.random.length(MOST), round.random.length(100_000)];
    const bytes = await file.readAt(position, length);
    round.check(bytes, position, length);
  }),
  readAtAligned: onFile(3, async (file, round) => {
    const position = file.alignDown(round.random.length(MOST));
    const length = file.alignUp(round.random.below(50_000));
    round.check(await file.readAtAligned(position, length), position, length);
  }),
  readInto: onFile(3, readInto),
  readMany: onFile(3, readMany),
  "writeAt of blocks": onFile(5, writeBlocks),
  "writeAt of a chunk": onFile(2, writeChunk),
  copyRangeTo: onFile(2, copyAway),
  size: onFile(1, (file) => file.size()),
  stat: onFile(1, (file) => file.stat()),
  sync: onFile(1, (file) => file.sync()),
  syncData: onFile(1, (file) => file.syncData()),
  truncate: removing(3, (file, { random }) => file.truncate(random.below(MOST))),
  deallocate: removing(2, (file, { random }) => {
    return file.deallocate(random.below(MOST), 1 + random.below(50_000));
  }),
  preallocate: onFile(1, (file, { random, isAppending }) => {
    const options = random.options({ keepSize: random.chance(0.5) });
    // Appended bytes would follow it.
    return isAppending || file.preallocate(1 + random.below(MOST), options);
  }),
  lock: onFile(1, (file, { random }) => {
    const signal = AbortSignal.timeout(random.below(20));
    return file.lock(random.chance(0.5), { signal });
  }),
  tryLock: onFile(1, (file, { random }) => file.tryLock(random.chance(0.5))),
  unlock: onFile(1, (file) => file.unlock()),
  rename: onFile(1, (file, round) => file.rename(round.otherPath)),
  remove: removing(1, (file) => file.remove()),
  close: onFile(1, closeAtOnce),
  "inspect and clone": [3, ({ random, file, writer, reader }) => {
    const thing = random.pick([file, writer, reader]);
    Deno.inspect(thing);
    structuredClone(thing);
  }],
};
