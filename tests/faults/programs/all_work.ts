// Does a little of everything there is, compares what it reads back, and tells what the engine found and what a
// library between it and liburing refused. FOLDER
import {
  DmaFile,
  DmaStreamReader,
  DmaStreamWriter,
  type EngineInfo,
  engineInfo,
  ioStats,
} from "../../../mod.ts";
import { content, firstWrong } from "../content.ts";

export interface AllWork {
  info: EngineInfo;
  /** Requests that tests/tools/old_kernel.c refused; undefined where it is not there. */
  refused: number | undefined;
  /** Operations that came though the kernel had not listed them. */
  unlisted: number | undefined;
  /** What was read back other than it was written. */
  wrong: string[];
  inFlight: number;
  poolBuffers: number;
}

/** Not a multiple of anything, and enough for the end of file to be moved ahead. */
const LENGTH = 12_000_003;
const [folder = ""] = Deno.args;
const wrong: string[] = [];

function check(what: string, right: boolean): void {
  if (!right) wrong.push(what);
}

async function write(writer: DmaStreamWriter, from: number, to: number, seed = 0): Promise<void> {
  for (let at = from; at < to; at += 70_001) {
    await writer.write(content(at, Math.min(70_001, to - at), seed));
  }
}

/** A writer that syncs its tail on the way, each time other bytes of one block. */
async function writeWithTails(path: string): Promise<void> {
  const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: 65536 });
  for (const end of [5, 4097, 300_001, 300_002, 9_000_000, LENGTH]) {
    await write(writer, writer.currentPos, end);
    check(`sync to ${end}`, await writer.sync({ tail: true }) === end);
  }
  await writer.close();
  check("flushed", writer.currentFlushedPos === LENGTH);
}

/** Where registering buffers is to fail, enough must be read for it to be tried. */
const rounds = Deno.env.get("OLD_KERNEL_UPDATE") ? 60 : 3;

/** Enough waits, one after the other, for the better wake-up to be worth while. */
async function readBack(path: string): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    let at = 0;
    for await (const chunk of new DmaStreamReader(await DmaFile.open(path))) {
      check(`chunk at ${at}`, firstWrong(chunk, chunk.length, 0, at) < 0);
      at += chunk.length;
    }
    check("length read", at === LENGTH);
  }
  await using file = await DmaFile.open(path);
  for (let at = 0; at < 450; at++) {
    const bytes = await file.readAt(at * 20_001, 5001);
    check(`readAt ${at}`, bytes.length === 5001 && firstWrong(bytes, 5001, 0, at * 20_001) < 0);
  }
  const ranges = [{ position: 7, length: 9 }, { position: 4096, length: 9 }, {
    position: LENGTH - 5,
    length: 9,
  }];
  for await (const { position, bytes } of file.readMany(ranges)) {
    check(`readMany ${position}`, firstWrong(bytes, bytes.length, 0, position) < 0);
  }
}

async function shape(path: string): Promise<void> {
  await using file = await DmaFile.create(path);
  const buffer = file.allocBuffer(1 << 20);
  buffer.bytes.set(content(0, 1 << 20));
  await file.writeAt(buffer, 0);
  await file.preallocate(3 << 20);
  check("preallocate", await file.size() === 3 << 20);
  await file.preallocate(4 << 20, { keepSize: true });
  await file.truncate(700_001);
  check("truncate", (await file.stat()).size === 700_001);
  await file.truncate(800_000);
  const grown = await file.readAt(700_000, 100_001);
  check(
    "grown by zeros",
    grown.length === 100_000 && grown.subarray(1).every((byte) => byte === 0),
  );
  await file.truncate(700_001);
  check("tryLock", await file.tryLock(true));
  await file.unlock();
  await file.syncData();
  await file.rename(`${path}-renamed`);
}

async function atomic(): Promise<void> {
  for (const [name, seed] of [["fresh", 1], ["old", 2]] as const) {
    const file = await DmaFile.create(`${folder}/${name}`, { atomic: true });
    const writer = new DmaStreamWriter(file);
    await write(writer, 0, 200_003, seed);
    await writer.close();
  }
  const writer = new DmaStreamWriter(await DmaFile.create(`${folder}/kept`, { atomic: true }));
  await write(writer, 0, 200_003, 3);
  await writer.abort();
}

async function rest(path: string): Promise<void> {
  const copy = await DmaFile.create(`${folder}/piped`);
  await (await DmaFile.open(path)).readable.pipeTo(copy.writable);

  const log = new DmaStreamWriter(
    await DmaFile.open(`${folder}/log`, { write: true, create: true }),
    { append: true },
  );
  await write(log, 70_000, 150_001);
  await log.close();

  const aborted = new DmaStreamWriter(await DmaFile.create(`${folder}/aborted`));
  await write(aborted, 0, 3_000_000);
  await aborted.abort();
  check("aborted", (await Deno.stat(`${folder}/aborted`)).size === aborted.currentFlushedPos);
  await Deno.remove(`${folder}/aborted`);

  const sealed = await (async () => {
    const writer = new DmaStreamWriter(await DmaFile.create(`${folder}/sealed`));
    await write(writer, 0, 100_001);
    return await writer.seal();
  })();
  check("sealed", firstWrong(await sealed.readAt(0, 100_001), 100_001) < 0);
  await sealed.close();

  await using target = await DmaFile.create(`${folder}/removed`);
  await using source = await DmaFile.open(path);
  check("copied", await source.copyRangeTo(target, 0, LENGTH, 0) === LENGTH);
  check("a copy", firstWrong(await target.readAt(0, LENGTH), LENGTH) < 0);
  await target.remove();
  await using unnamed = await DmaFile.temp({ dir: folder });
  await unnamed.writeAt(content(0, 4096), 0);
  check("temp", firstWrong(await unnamed.readAt(0, 4096), 4096) < 0);
}

/** The counts of the library that DMA_LIBURING names, which is open already: the same ones. */
function told(): { refused?: number; unlisted?: number } {
  const path = Deno.env.get("DMA_LIBURING");
  if (!path) return {};
  const library = Deno.dlopen(
    path,
    { old_kernel_told: { parameters: ["i32"], result: "i32" } } as const,
  );
  const [refused, unlisted] = [0, 1].map((what) => library.symbols.old_kernel_told(what));
  return { refused: refused!, unlisted: unlisted! };
}

if (import.meta.main) {
  const path = `${folder}/file`;
  await writeWithTails(path);
  await readBack(path);
  await shape(`${folder}/shape`);
  await atomic();
  await rest(path);
  const { inFlight, poolBuffers } = ioStats();
  console.log(JSON.stringify({ info: engineInfo(), ...told(), wrong, inFlight, poolBuffers }));
}
