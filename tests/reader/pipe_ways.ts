// Runs the same pipe from file to file in both ways, the plain one of every stream and this module's own, and returns
// both endings for a comparison.

import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { pattern } from "../support/bytes.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import type { TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";

export interface Piping {
  readonly from: DmaStreamReader;
  readonly to: DmaStreamWriter;
  /** Aborts the signal of the pipe. */
  readonly abort: (reason?: unknown) => void;
  /** Keeps a fault until the pipe has ended. */
  readonly use: (fault: Disposable) => void;
}

export interface Pipe {
  /** Bytes of the source; default 300,001. */
  size?: number;
  options?: StreamPipeOptions;
  /** Whether the ends of the streams close the files. @default {true} */
  closeFile?: boolean;
  /** Called before the pipe is. */
  prepare?: (piping: Piping) => unknown;
  /** Called as soon as the pipe runs. */
  during?: (piping: Piping) => unknown;
  /** The number of bytes depends on time, so only their values are compared. */
  untimed?: boolean;
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

/** The ends of a pipe from a new file with so many bytes to another. Buffers are small, so that there are many. */
export async function openPipe(dir: TestDirectory, size: number, closeFile = true) {
  await Deno.writeFile(dir.file("source"), pattern(size));
  const options = { bufferSize: 16_384, closeFile };
  const target = await DmaFile.create(dir.file("target"));
  return {
    from: new DmaStreamReader(await DmaFile.open(dir.file("source")), options),
    to: new DmaStreamWriter(target, { ...options, preallocate: false }),
  };
}

/** Runs a pipe in both ways, and asserts that the direct one ends like the plain one. Returns that ending. */
export async function assertSame(dir: TestDirectory, pipe: Pipe): Promise<Ending> {
  const plain = await run(dir, ReadableStream.prototype.pipeTo, pipe);
  assertEquals(await run(dir, DmaStreamReader.prototype.pipeTo, pipe), plain);
  return plain;
}

async function run(
  dir: TestDirectory,
  pipeTo: DmaStreamReader["pipeTo"],
  pipe: Pipe,
): Promise<Ending> {
  const { size = 300_001, untimed = false, closeFile, options, prepare, during } = pipe;
  const { from, to } = await openPipe(dir, size, closeFile);
  const controller = new AbortController();
  using faults = new DisposableStack();
  const piping = {
    from,
    to,
    abort: (reason?: unknown) => controller.abort(reason),
    use: (fault: Disposable) => faults.use(fault),
  };
  await prepare?.(piping);
  const { signal } = controller;
  const piped = pipeTo.call(from, to, { ...options, signal });
  const result = piped.then(() => "resolved", inWords);
  await during?.(piping);
  const ending = {
    result: await result,
    reader: from.locked ? "locked" : await stateOfReader(from),
    writer: to.locked ? "locked" : await stateOfWriter(to),
  };
  // After an error descriptors are closed a little later.
  while (engine.counters.inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const open = [descriptorsOf(from.file.path), descriptorsOf(to.file.path)] as const;
  faults.dispose();
  if (ending.writer === "open") await to.flushAligned({ tail: true });
  await to.abort().catch(() => {});
  for (const each of [from, from.file, to.file]) await each.close().catch(() => {});
  const content = await Deno.readFile(to.file.path);
  const isWhole = ending.result === "resolved" && !untimed;
  assertEquals(content, pattern(isWhole ? size : content.length));
  return { ...ending, bytes: untimed ? -1 : content.length, open };
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
function inWords(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : Deno.inspect(error);
}
