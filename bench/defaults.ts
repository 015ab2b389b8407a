// Finds the best defaults for buffer size, write-behind and moving the end of file ahead, with one writer and fifty, on
// each file system that this machine can make. Settings take turns within a round. Medians over the rounds are printed as
// a Markdown table.
//
//     deno task bench:defaults [--size=512MiB] [--rounds=3] [--dir=a,b] [--only=NAME,...]
//
// --dir measures directories instead of images. --only chooses settings by the beginning of their names.

import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions, engineInfo } from "../mod.ts";
import { markdownTable } from "./harness/markdown.ts";
import { parseOptions } from "./harness/options.ts";
import { median } from "./harness/statistics.ts";
import { MIB } from "./harness/units.ts";
import { warmStream } from "./programs/measure.mjs";
import { makeWorkDirectory, mountFileSystems, takeDown } from "../tests/setup/file_systems.ts";

const options = parseOptions(Deno.args, { rounds: 3, size: "512MiB" });
const { size, rounds, only } = options;
const CHUNK = 64 * 1024;

interface Setting {
  name: string;
  writers: number;
  options: DmaStreamWriterOptions;
}

/** The settings to compare, as far as `--only` chooses them. */
function settings(): Setting[] {
  const all: Setting[] = [{
    name: "1024 KiB × 4, sizeHint",
    writers: 1,
    options: { sizeHint: size },
  }];
  for (const preallocate of [true, false]) {
    const moved = preallocate ? "" : ", end not moved";
    for (const kib of [128, 256, 512, 1024, 2048]) {
      for (const writeBehind of [2, 4, 8]) {
        const options = { bufferSize: kib * 1024, writeBehind, preallocate };
        all.push({ name: `${kib} KiB × ${writeBehind}${moved}`, writers: 1, options });
      }
    }
    all.push({ name: `50 writers, 1024 KiB × 4${moved}`, writers: 50, options: { preallocate } });
  }
  const isChosen = (name: string) => only.some((beginning) => name.startsWith(beginning));
  return only.length === 0 ? all : all.filter(({ name }) => isChosen(name));
}

/** Writes one file, durably. */
async function write(path: string, bytes: number, options: DmaStreamWriterOptions): Promise<void> {
  await warmStream(bytes, CHUNK).pipeTo(new DmaStreamWriter(await DmaFile.create(path), options));
}

/** MiB/s of one run. */
async function run(directory: string, { writers, options }: Setting): Promise<number> {
  const folder = await Deno.makeTempDir({ dir: directory });
  const bytes = Math.floor(size / writers / CHUNK) * CHUNK;
  const began = performance.now();
  const all = Array.from({ length: writers }, (_, n) => write(`${folder}/${n}`, bytes, options));
  await Promise.all(all);
  const seconds = (performance.now() - began) / 1000;
  await Deno.remove(folder, { recursive: true });
  return bytes * writers / MIB / seconds;
}

async function measure(directories: Map<string, string>): Promise<void> {
  const names = [...directories.keys()];
  const rates = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const [label, directory] of directories) {
      for (const setting of settings()) {
        const rate = await run(directory, setting);
        // The first round warms up.
        if (round === 0) continue;
        const key = `${setting.name}\n${label}`;
        rates.set(key, [...rates.get(key) ?? [], rate]);
      }
    }
  }
  const rows = settings().map(({ name }) => [
    name,
    ...names.map((label) => median(rates.get(`${name}\n${label}`)!).toFixed(0)),
  ]);
  console.log(`\n${markdownTable(["setting", ...names], rows)}`);
  console.log(
    `\nMiB/s, ${size / MIB} MiB in all, medians of ${rounds}; ${Deno.inspect(engineInfo())}`,
  );
}

const work = await makeWorkDirectory();
try {
  const directories = new Map(options.directories.map((path) => [path, path]));
  if (directories.size === 0) {
    directories.set("this disk", options.directory);
    const { mounted } = await mountFileSystems(work, new AbortController().signal);
    for (const path of mounted) {
      const label = path.slice(path.lastIndexOf("/") + 1);
      // Sector sizes make no difference to speed.
      if (!label.endsWith("-512")) directories.set(label, path);
    }
  }
  await measure(directories);
} finally {
  await takeDown(work);
}
