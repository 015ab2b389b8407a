// Runs the same pipe from file to file in both ways, the plain one of every stream and this module's own, and returns
// both endings for a comparison.

import { assertEquals } from "@std/assert";
import {
  DmaFile,
  DmaStreamReader,
  type DmaStreamReaderOptions,
  DmaStreamWriter,
  type DmaStreamWriterOptions,
} from "../../mod.ts";
import { overlaid, pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached, type TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { openPattern } from "../support/patterned.ts";

export interface Way {
  readonly name: "plain" | "direct";
  pipe(from: DmaStreamReader, to: DmaStreamWriter, options?: StreamPipeOptions): Promise<void>;
}

export const ways: readonly Way[] = [
  {
    name: "plain",
    pipe: (from, to, options) => ReadableStream.prototype.pipeTo.call(from, to, options),
  },
  { name: "direct", pipe: (from, to, options) => from.pipeTo(to, options) },
];

export interface Pipe {
  /** Bytes of the source; default 300,001. */
  size?: number;
  /** The content of the target before; by default the target is created. */
  before?: Uint8Array<ArrayBuffer>;
  /** By default buffers are small, so that there are many. */
  reader?: DmaStreamReaderOptions;
  writer?: DmaStreamWriterOptions;
  options?: StreamPipeOptions;
  /** Called before the pipe is. */
  prepare?: (piping: Piping) => void | Promise<void>;
  /** Called as soon as the pipe runs. */
  during?: (piping: Piping) => void | Promise<void>;
  /** The number of bytes depends on time, so only their values are compared. */
  untimed?: boolean;
}

export interface Piping {
  readonly from: DmaStreamReader;
  readonly to: DmaStreamWriter;
}

/** Registers a test for each way to pipe, from a file of so many bytes to a new one. */
export function testWays(
  name: string,
  size: number,
  fn: (piping: Piping & { way: Way; dir: TestDirectory }) => Promise<void>,
): void {
  for (const way of ways) {
    testDirectAndCached(`${name} [${way.name}]`, async (dir) => {
      const source = await openPattern(dir.file("source"), size);
      const from = new DmaStreamReader(source, { bufferSize: 16_384 });
      const target = await DmaFile.create(dir.file("target"));
      const to = new DmaStreamWriter(target, { bufferSize: 16_384 });
      await fn({ way, from, to, dir });
    });
  }
}

/** Runs a pipe in both ways, and asserts that the direct one ends like the plain one. Returns that ending. */
export async function assertSame(dir: TestDirectory, pipe: Pipe): Promise<Ending> {
  const [plain, direct] = [await run(dir, ways[0]!, pipe), await run(dir, ways[1]!, pipe)];
  assertEquals(direct, plain);
  return plain;
}

export interface Ending {
  /** "resolved", or the error in words. */
  result: string;
  /** "open", "ended", "locked", or the error in words. */
  reader: string;
  /** "open", "closed", "locked", or the error in words. */
  writer: string;
  /** Bytes in the target, all of them right; -1 where that depends on time. */
  bytes: number;
  /** Descriptors of source and target that are still open. */
  open: readonly [number, number];
}

async function run(dir: TestDirectory, way: Way, pipe: Pipe): Promise<Ending> {
  const { size = 300_001, before, untimed = false } = pipe;
  const source = dir.file("source");
  const target = dir.file("target");
  await Deno.writeFile(source, pattern(size));
  await Deno.remove(target).catch(() => {});
  if (before) await Deno.writeFile(target, before);
  const to = await DmaFile.open(target, { write: true, create: true });
  const reading = { bufferSize: 16_384, ...pipe.reader };
  const piping: Piping = {
    from: new DmaStreamReader(await DmaFile.open(source), reading),
    to: new DmaStreamWriter(to, { bufferSize: 16_384, preallocate: false, ...pipe.writer }),
  };
  await pipe.prepare?.(piping);
  const piped = way.pipe(piping.from, piping.to, pipe.options);
  const result = piped.then(() => "resolved", inWords);
  await pipe.during?.(piping);
  const ending = {
    result: await result,
    reader: piping.from.locked ? "locked" : "",
    writer: piping.to.locked ? "locked" : "",
  };
  ending.reader ||= await stateOfReader(piping.from);
  ending.writer ||= await stateOfWriter(piping.to);
  // After an error descriptors are closed a little later.
  while (engine.counters.inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const open = [descriptorsOf(source), descriptorsOf(target)] as const;
  await piping.from.close().catch(() => {});
  await piping.from.file.close().catch(() => {});
  await piping.to.abort().catch(() => {});
  await to.close().catch(() => {});
  const whole = ending.result === "resolved" && !untimed;
  const bytes = assertContent(await Deno.readFile(target), size, pipe, whole);
  return { ...ending, bytes: untimed ? -1 : bytes, open };
}

/** The target has its old content, overwritten by the piped bytes or their first part. Returns its length. */
function assertContent(content: Uint8Array, size: number, pipe: Pipe, whole: boolean): number {
  const { before = new Uint8Array(), reader, writer } = pipe;
  const start = reader?.start ?? 0;
  const piped = pattern(Math.max(0, Math.min(size, reader?.end ?? Infinity) - start), start);
  const at = writer?.append ? before.length : writer?.position ?? 0;
  const expected = overlaid(before, piped, at);
  assertEquals(content, whole ? expected : expected.slice(0, content.length));
  return content.length;
}

async function stateOfReader(stream: DmaStreamReader): Promise<string> {
  const reader = stream.getReader();
  const state = await reader.read().then(({ done }) => done ? "ended" : "open", inWords);
  reader.releaseLock();
  return state;
}

async function stateOfWriter(stream: DmaStreamWriter): Promise<string> {
  const writer = stream.getWriter();
  let state = "open";
  writer.closed.then(() => state = "closed", (error) => state = inWords(error));
  await new Promise((resolve) => setTimeout(resolve, 1));
  writer.releaseLock();
  return state;
}

/** An error or another reason, for comparisons. */
export function inWords(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : Deno.inspect(error);
}
