// Measures the disk with this module and with Deno's own streams, in about ten seconds.
import { statfs } from "node:fs/promises";
import { DmaFile, engineInfo } from "../mod.ts";
import { type BenchReport, COLD, compare } from "./bench_report.ts";
import { CHUNK_BYTES, runRounds } from "./bench_rounds.ts";
import { benchLines } from "./bench_text.ts";
import { EXIT_OK } from "./exit_codes.ts";
import { copiesForChecksums } from "./findings.ts";
import { isNoCow } from "./descriptor.ts";
import { endEarly, Interruption } from "./interruption.ts";
import { jsonText, print } from "./output.ts";
import { remedyFor } from "./remedies.ts";
import { ScratchDirectory } from "./scratch_directory.ts";
import { StatusLine } from "./progress.ts";
import { isMemory, type Mount, mountOf } from "./system_facts.ts";
import { formatSize } from "./units.ts";

export interface BenchOptions {
  /** The approximate duration. */
  seconds: number;
  /** Bytes of each file. */
  size?: number;
  /** Prints one JSON object instead of bars. */
  json?: boolean;
}

/** Each of the two sides keeps a file at the same time. */
const FILES_AT_ONCE = 2;
/** The part of the free space that is used by default. */
const PART_OF_FREE = 1 / 4;
/** The limit in bytes if the free space is unknown. */
const UNKNOWN_FREE = 1024 ** 3;
const LEAST_BYTES = 1024 ** 2;

/** Measures and prints. Resolves to the exit code. */
export async function bench(dir: string, options: BenchOptions): Promise<number> {
  using interruption = new Interruption();
  let report: BenchReport;
  try {
    report = await measure(dir, options, interruption.signal);
  } catch (error) {
    const remedy = remedyFor(error, { dest: dir, directory: true, sourceOpen: true });
    return endEarly(error, "what was written is removed", remedy);
  }
  // The remedies are for the directory, not for standard output.
  print(options.json ? jsonText(report, 2) : benchLines(report).join("\n"));
  return EXIT_OK;
}

async function measure(
  dir: string,
  { seconds, size }: BenchOptions,
  signal: AbortSignal,
): Promise<BenchReport> {
  const began = performance.now();
  if (!(await Deno.stat(dir)).isDirectory) {
    throw new Error(`Cannot write in '${dir}': it is not a directory`);
  }
  const most = await room(dir, size);
  await using scratch = await ScratchDirectory.in(dir, "bench");
  const directory = scratch.path;
  const { direct, engine } = await probe(directory);
  using status = new StatusLine();
  const rounds = await runRounds({
    directory,
    size,
    most,
    seconds,
    signal,
    say: (text) => status.show(`${elapsed(began).toFixed(0)} s  ${text}`),
  });
  const mount = await mountOf(dir);
  const report = {
    directory: dir,
    mount,
    direct,
    engine,
    size: rounds.size,
    chunkSize: CHUNK_BYTES,
    rounds: rounds.samples.write.dma.length,
    seconds: elapsed(began),
    write: compare(rounds, "write"),
    read: compare(rounds, "read"),
  };
  const copies = copiesForChecksums(mount, engineInfo().kernel, isNoCow(directory));
  return { ...report, warnings: warnings(mount, direct, copies, report.read.deno.fromDisk) };
}

function elapsed(began: number): number {
  return (performance.now() - began) / 1000;
}

/** The largest size of a file, in bytes. Throws if there is too little space. */
async function room(dir: string, size: number | undefined): Promise<number> {
  const free = await freeSpace(dir);
  if (free === undefined) return size ?? UNKNOWN_FREE;
  const most = size ?? Math.max(LEAST_BYTES, Math.floor(free * PART_OF_FREE / FILES_AT_ONCE));
  const needed = most * FILES_AT_ONCE;
  if (needed > free) {
    const sizes = `${formatSize(free)} are free, ${FILES_AT_ONCE} files need ${formatSize(needed)}`;
    throw new Error(
      `Too little free space in '${dir}': ${sizes}; give a smaller --size, or another directory`,
    );
  }
  return most;
}

/** Bytes that this user may still write; undefined without the permission to ask. */
async function freeSpace(dir: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(dir);
    return bavail * bsize;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

/** How files in a directory are written. */
async function probe(directory: string): Promise<Pick<DmaFile, "direct" | "engine">> {
  await using file = await DmaFile.create(`${directory}/probe`);
  const { direct, engine } = file;
  return { direct, engine };
}

function warnings(
  mount: Mount | null,
  direct: boolean,
  copies: boolean,
  fromDisk: number | null,
): string[] {
  const found = [];
  if (mount && isMemory(mount)) {
    found.push(`${mount.type} is memory: no disk was measured. Name a directory on one.`);
  } else if (!direct) {
    found.push("this file system has no Direct I/O: both sides used the page cache.");
  } else if (copies) {
    found.push(
      "btrfs computes checksums of data: writes went through the page cache all the same.",
    );
  }
  if (fromDisk !== null && fromDisk < COLD && mount?.type !== "tmpfs") {
    found.push("the files were partly in the page cache when they were read by FsFile.");
  }
  return found;
}
