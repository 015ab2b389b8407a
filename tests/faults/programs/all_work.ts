// A job of jobs.ts: runs all kinds of work in an empty folder, and compares the results.

import {
  DmaFile,
  DmaStreamReader,
  DmaStreamWriter,
  type DmaStreamWriterOptions,
  engineInfo,
  ioStats,
} from "../../../mod.ts";
import { content, firstWrong } from "../content.ts";

/** Not aligned, and enough for the end of file to be moved ahead. */
const LENGTH = 12_000_003;
let folder = "";
/** What differs from the expected result. */
const wrong: string[] = [];

function check(what: string, right: boolean): void {
  if (!right) wrong.push(what);
}

function checkBytes(what: string, bytes: Uint8Array, length: number, position = 0, seed = 0): void {
  check(what, bytes.length === length && firstWrong(bytes, length, seed, position) < 0);
}

/** A writer of a file in the folder with content up to `length`. */
async function written(
  name: string,
  length: number,
  seed = 0,
  { atomic = false, ...options }: DmaStreamWriterOptions & { atomic?: boolean } = {},
): Promise<DmaStreamWriter> {
  const file = await DmaFile.create(`${folder}/${name}`, { atomic });
  const writer = new DmaStreamWriter(file, options);
  await write(writer, length, seed);
  return writer;
}

/** Writes content from where the writer is up to `end`. */
async function write(writer: DmaStreamWriter, end: number, seed = 0): Promise<void> {
  for (let at = writer.currentPos; at < end; at += 70_001) {
    await writer.write(content(at, Math.min(70_001, end - at), seed));
  }
}

/** A writer that syncs its tail on the way, each time other bytes of one block. */
async function writeWithTails(): Promise<void> {
  const writer = await written("file", 0, 0, { bufferSize: 65536 });
  for (const end of [5, 4097, 300_001, 300_002, 9_000_000, LENGTH]) {
    await write(writer, end);
    check(`sync to ${end}`, await writer.sync({ tail: true }) === end);
  }
  await writer.close();
  check("flushed", writer.currentFlushedPos === LENGTH);
}

/** Enough sequential waits for the switch to epoll. */
async function readBack(): Promise<void> {
  // If registering buffers must fail, enough bytes must be read for an attempt.
  const rounds = Deno.env.get("OLD_KERNEL_UPDATE") ? 60 : 3;
  for (let round = 0; round < rounds; round++) {
    let at = 0;
    for await (const chunk of new DmaStreamReader(await DmaFile.open(`${folder}/file`))) {
      checkBytes(`chunk at ${at}`, chunk, chunk.length, at);
      at += chunk.length;
    }
    check("length read", at === LENGTH);
  }
  await using file = await DmaFile.open(`${folder}/file`);
  for (let at = 0; at < 450 * 20_001; at += 20_001) {
    checkBytes(`readAt ${at}`, await file.readAt(at, 5001), 5001, at);
  }
  const ranges = [7, 4096, LENGTH - 5].map((position) => ({ position, length: 9 }));
  for await (const { position, bytes } of file.readMany(ranges)) {
    checkBytes(`readMany ${position}`, bytes, Math.min(9, LENGTH - position), position);
  }
}

async function shape(): Promise<void> {
  await using file = await DmaFile.create(`${folder}/shape`);
  const buffer = file.allocBuffer(1 << 20);
  buffer.bytes.set(content(0, 1 << 20));
  await file.writeAt(buffer, 0);
  await file.preallocate(3 << 20);
  check("preallocate", await file.size() === 3 << 20);
  await file.preallocate(4 << 20, { keepSize: true });
  await file.truncate(700_001);
  check("truncate", (await file.stat()).size === 700_001);
  check("tryLock", await file.tryLock(true));
  await file.unlock();
  await file.syncData();
  await file.rename(`${folder}/renamed`);
}

async function endInEachWay(): Promise<void> {
  await Deno.writeFile(`${folder}/old`, content(0, 5000, 8));
  await Deno.writeFile(`${folder}/kept`, content(0, 1000, 9));
  await (await written("fresh", 200_003, 1, { atomic: true })).close();
  await (await written("old", 200_003, 2, { atomic: true })).close();
  await (await written("kept", 200_003, 3, { atomic: true })).abort();

  await Deno.writeFile(`${folder}/log`, content(0, 70_000));
  const logFile = await DmaFile.open(`${folder}/log`, { write: true });
  const log = new DmaStreamWriter(logFile, { append: true });
  await log.sync();
  await write(log, 150_001);
  await log.close();

  const aborted = await written("aborted", 3_000_000);
  await aborted.abort();
  check("aborted", (await Deno.stat(aborted.file.path)).size === aborted.currentFlushedPos);
  await Deno.remove(aborted.file.path);

  await using sealed = await (await written("sealed", 100_001)).seal();
  checkBytes("sealed", await sealed.readAt(0, 100_001), 100_001);
}

async function copy(): Promise<void> {
  const piped = await DmaFile.create(`${folder}/piped`);
  await (await DmaFile.open(`${folder}/file`)).readable.pipeTo(piped.writable);

  await using target = await DmaFile.create(`${folder}/removed`);
  await using source = await DmaFile.open(`${folder}/file`);
  check("copied", await source.copyRangeTo(target, 0, LENGTH, 0) === LENGTH);
  checkBytes("a copy", await target.readAt(0, LENGTH), LENGTH);
  await target.remove();
  await using unnamed = await DmaFile.temp({ dir: folder });
  await unnamed.writeAt(content(0, 4096), 0);
  checkBytes("temp", await unnamed.readAt(0, 4096), 4096);
}

/** The files at the end: the length of each, and the seed of its content. */
const files: Readonly<Record<string, readonly [length: number, seed: number]>> = {
  file: [LENGTH, 0],
  fresh: [200_003, 1],
  kept: [1000, 9],
  log: [150_001, 0],
  old: [200_003, 2],
  piped: [LENGTH, 0],
  renamed: [700_001, 0],
  sealed: [100_001, 0],
};

/** The counts of tests/tools/old_kernel.c: refused requests, and operations that were not listed. */
function told(): { refused?: number; unlisted?: number } {
  const library = Deno.env.get("DMA_LIBURING");
  if (!library?.includes("old_kernel")) return {};
  const { symbols } = Deno.dlopen(library, {
    old_kernel_told: { parameters: ["i32"], result: "i32" },
  });
  return { refused: symbols.old_kernel_told(0), unlisted: symbols.old_kernel_told(1) };
}

/** Resolves to the differences, what is in use at the end, and what the engine found. */
export async function allWork(directory: string) {
  folder = directory;
  for (const work of [writeWithTails, readBack, shape, endInEachWay, copy]) await work();
  for (const [name, [length, seed]] of Object.entries(files)) {
    checkBytes(name, await Deno.readFile(`${folder}/${name}`), length, 0, seed);
  }
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  check(`${names}`, String(names) === String(Object.keys(files)));
  const { inFlight, poolBuffers } = ioStats();
  return { wrong, used: inFlight + poolBuffers, info: engineInfo(), ...told() };
}
