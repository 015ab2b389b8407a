// The actions on a DmaFile.

import { configure, DmaFile, engineInfo, ioStats } from "../../mod.ts";
import { content } from "../faults/content.ts";
import { ENOUGH } from "./judge.ts";
import { mostly, someChunk, someLength, someOptions } from "./odd.ts";
import { type Action, action, actionsOn, type Round } from "./round.ts";

/** The maximum length of files, except after odd arguments. */
export const MOST = 400_000;

const onFile = actionsOn("DmaFile", ({ file }) => file);

/** Opens the round's file in one of all ways, as the first action of a round. */
export async function openFile(round: Round): Promise<void> {
  const { random, path } = round;
  const direct = random.pick(["prefer", "off"] as const);
  const name = random.chance(0.2) ? new URL(`file://${path}`) : path;
  const before = async () => {
    const length = someLength(random, MOST);
    await Deno.writeFile(path, content(0, length, round.seed));
    round.promise(0, length);
  };
  const ways = [
    () => {
      round.isAtomic = true;
      return DmaFile.create(name, { atomic: true, direct });
    },
    () => {
      round.isTemporary = true;
      return DmaFile.temp({ dir: round.directory });
    },
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
  ];
  round.file = await random.pick(ways)();
}

function checkRead(round: Round, position: number, most: number, bytes: Uint8Array): void {
  round.must(bytes.length <= most, `${bytes.length} bytes were read of ${most}`);
  round.check(bytes, position);
}

function aligned(file: DmaFile, round: Round): number {
  return file.alignDown(someLength(round.random, MOST));
}

async function writeBlocks(file: DmaFile, round: Round): Promise<void> {
  const { random, seed } = round;
  const position = aligned(file, round);
  const length = file.alignUp(1 + random.below(50_000));
  // Beside a writer both write the block of its tail.
  const isAlone = !round.writer;
  const bytes = content(position, length, seed).slice();
  if (random.chance(0.5)) {
    const buffer = file.allocBuffer(length);
    buffer.bytes.set(bytes);
    const writing: Promise<unknown>[] = [file.writeAt(buffer, position)];
    if (random.chance(0.2)) writing.push(file.writeAt(buffer, position).catch(() => {}));
    await Promise.all(writing);
    round.must(buffer.bytes.length === buffer.length, "The buffer came back shorter");
  } else {
    await file.writeAt(bytes, position);
  }
  if (isAlone) round.promise(position, position + length);
}

async function readMany(file: DmaFile, round: Round): Promise<void> {
  const { random } = round;
  const ranges = Array.from({ length: random.below(30) }, () => ({
    position: mostly(random, someLength(random, MOST)),
    length: mostly(random, someLength(random, 20_000)),
  }));
  const options = someOptions(random, {
    maxMerged: () => someLength(random, MOST),
    maxGap: () => someLength(random, 10_000),
    concurrency: () => random.between(1, 20),
  });
  let left = random.chance(0.3) ? random.below(10) : Infinity;
  for await (const { bytes, position } of file.readMany(mostly(random, ranges), options)) {
    round.check(bytes, position);
    if (left-- === 0) break;
  }
}

/** Removes bytes, in rounds that allow it. */
function destructive(
  name: string,
  weight: number,
  use: (file: DmaFile, round: Round) => unknown,
): Action {
  return onFile(name, weight, (file, round) => round.isDestructive && use(file, round));
}

/** Opens the file again, mostly for reading, and closes that handle after a while. */
async function openAgain(round: Round): Promise<void> {
  const { random } = round;
  const path = random.chance(0.8) ? round.path : round.otherPath;
  const options = someOptions(random, {
    read: () => true,
    write: () => round.isDestructive,
    create: () => false,
    createNew: () => false,
    truncate: () => round.isDestructive,
    append: () => false,
    mode: () => 0o644,
    direct: () => random.pick(["require", "prefer", "off"] as const),
  });
  const file = await DmaFile.open(mostly(random, path), options);
  round.others.push(file);
  const position = someLength(random, MOST);
  if (path !== round.path) return;
  await round.call("readAt of another", () => file.readAt(position, 10_000), (bytes) => {
    round.check(bytes, position);
  });
}

/** All ends of the file, several at once. */
async function closeAtOnce(file: DmaFile, round: Round): Promise<void> {
  const { random, writer, reader } = round;
  const ends: (() => Promise<unknown>)[] = [
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
  // Without a writer close() of the file publishes it.
  round.mayBePublished = true;
  const some = Array.from({ length: random.between(1, 4) }, () => random.pick(ends));
  await Promise.all(some.map((end) => round.call(`at once: ${end}`, end)));
}

export const fileActions: readonly Action[] = [
  onFile("alignUp alignDown", 2, (file, { random }) => {
    file.alignUp(mostly(random, random.below(1e6)));
    file.alignDown(mostly(random, random.below(1e6)));
  }),
  onFile("allocBuffer", 1, (file, { random }) => file.allocBuffer(mostly(random, 5000))),
  onFile("readAt", 6, async (file, round) => {
    const { random } = round;
    const [position, length] = [someLength(random, MOST), someLength(random, 100_000)];
    const bytes = await file.readAt(mostly(random, position), mostly(random, length));
    checkRead(round, position, length, bytes);
  }),
  onFile("readAtAligned", 3, async (file, round) => {
    const position = aligned(file, round);
    const length = mostly(round.random, file.alignUp(round.random.below(50_000)));
    checkRead(round, position, length, await file.readAtAligned(position, length));
  }),
  onFile("readInto", 3, async (file, round) => {
    const { random } = round;
    const buffer = file.allocBuffer(1 + random.below(50_000));
    const position = mostly(random, aligned(file, round));
    const reading = file.readInto(mostly(random, buffer), position);
    // A buffer in use cannot be used by other calls.
    const second = random.chance(0.2) ? file.readInto(buffer, 0).catch(() => {}) : undefined;
    const [read] = await Promise.all([reading, second]);
    round.must(buffer.bytes.length === buffer.length, "The buffer came back shorter");
    round.check(buffer.bytes.subarray(0, read), position);
  }),
  onFile("readMany", 3, readMany),
  onFile("writeAt", 5, writeBlocks),
  onFile("writeAt", 2, async (file, round) => {
    const { random, seed } = round;
    const position = aligned(file, round);
    const { data, spoil } = someChunk(random, position, seed, 50_000);
    const options = someOptions(random, { atomic: () => random.chance(0.1) });
    const bytes = mostly(random, data as Uint8Array);
    const writing = file.writeAt(bytes, mostly(random, position), options);
    if (spoil && random.chance(0.3)) spoil();
    await writing;
  }),
  onFile("size", 1, async (file, round) => round.must(await file.size() >= 0, "A size below 0")),
  onFile("stat", 1, async (file, round) => round.must((await file.stat()).isFile, "No file")),
  destructive(
    "truncate",
    3,
    (file, { random }) => file.truncate(mostly(random, random.below(MOST))),
  ),
  destructive("deallocate", 2, (file, { random }) => {
    const length = mostly(random, 1 + random.below(50_000));
    return file.deallocate(mostly(random, random.below(MOST)), length);
  }),
  onFile("preallocate", 1, (file, { random, isAppending }) => {
    const options = someOptions(random, { keepSize: () => random.chance(0.5) });
    // Appended bytes would follow it.
    return isAppending || file.preallocate(mostly(random, 1 + random.below(MOST)), options);
  }),
  onFile("copyRangeTo", 2, async (file, round) => {
    const { random } = round;
    const target = await DmaFile.temp({ dir: round.directory });
    round.others.push(target);
    const position = someLength(random, MOST);
    const length = someLength(random, 100_000);
    const copied = await file.copyRangeTo(mostly(random, target), position, length, position);
    checkRead(round, position, copied, await target.readAt(position, copied));
  }),
  onFile("sync", 1, (file) => file.sync()),
  onFile("syncData", 1, (file) => file.syncData()),
  onFile("lock", 1, (file, { random }) => {
    const signal = AbortSignal.timeout(random.below(20));
    return file.lock(mostly(random, random.chance(0.5)), mostly(random, { signal }));
  }),
  onFile("tryLock", 1, (file, { random }) => file.tryLock(mostly(random, random.chance(0.5)))),
  onFile("unlock", 1, (file) => file.unlock()),
  onFile("rename", 1, (file, round) => file.rename(mostly(round.random, round.otherPath))),
  destructive("remove", 1, (file) => file.remove()),
  onFile(
    "isSameFile",
    1,
    (file, round) => round.must(file.isSameFile(mostly(round.random, file)), "It is another file"),
  ),
  onFile("close", 1, closeAtOnce),
  onFile("path direct alignment atomicWrite engine", 3, (file, round) => {
    const { path, direct, alignment, atomicWrite, engine } = file;
    round.must(
      `${path} ${direct} ${alignment.offset} ${atomicWrite} ${engine}`.length > 0,
      "No text",
    );
    Deno.inspect(file);
    structuredClone(file);
  }),
  action("DmaFile.open", 2, openAgain),
  action("DmaFile.create DmaFile.temp", 1, async (round) => {
    const { random, otherPath, directory } = round;
    const options = someOptions(random, {
      read: () => true,
      mode: () => 0o600,
      direct: () => "prefer" as const,
      atomic: () => random.chance(0.5),
    });
    round.others.push(await DmaFile.create(mostly(random, `${otherPath}-more`), options));
    round.others.push(await DmaFile.temp(someOptions(random, { dir: () => directory })));
  }),
  action("engineInfo", 1, () => engineInfo().engine),
  action(
    "ioStats",
    1,
    (round) => round.must(ioStats().inFlight >= 0, "Less than nothing in flight"),
  ),
  action("configure", 1, ({ random }) => configure(someOptions(random, { ringEntries: () => 64 }))),
];
