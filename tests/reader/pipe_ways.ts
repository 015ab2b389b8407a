// Runs the same pipe from file to file in both ways, the plain one of every stream and this module's own, and returns
// both endings for a comparison.

import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../mod.ts";
import { pause } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import type { TestDirectory } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { openPattern } from "../support/patterned.ts";

export interface Piping {
  readonly from: DmaStreamReader;
  readonly to: DmaStreamWriter;
  /** Aborts the signal of the pipe. */
  readonly abort: (reason?: unknown) => void;
  /** Keeps a fault until the pipe has ended. */
  readonly use: (fault: Disposable) => void;
}

export interface Pipe {
  /** Bytes of the source. @default {300_001} */
  size?: number;
  options?: StreamPipeOptions;
  /** Called before the pipe is. */
  prepare?: (piping: Piping) => unknown;
  /** Called as soon as the pipe runs. */
  during?: (piping: Piping) => unknown;
}

/** The ends of a pipe from a new file with so many bytes to another. Buffers are small, so that there are many. */
export async function openPipe(dir: TestDirectory, size: number) {
  const source = await openPattern(dir.file("source"), size);
  const target = await DmaFile.create(dir.file("target"));
  const bufferSize = 16_384;
  return {
    from: new DmaStreamReader(source, { bufferSize }),
    to: new DmaStreamWriter(target, { bufferSize, preallocate: false }),
  };
}

/** Runs a pipe in both ways, and asserts that the direct one ends like the plain one. Returns that ending. */
export async function assertSame(dir: TestDirectory, pipe: Pipe) {
  const plain = await run(dir, ReadableStream.prototype.pipeTo, pipe);
  assertEquals(await run(dir, DmaStreamReader.prototype.pipeTo, pipe), plain);
  return plain;
}

/** Runs a pipe. Returns its result, the states of both streams, and how many descriptors lead to their files. */
async function run(dir: TestDirectory, pipeTo: DmaStreamReader["pipeTo"], pipe: Pipe) {
  const { size = 300_001, options, prepare, during } = pipe;
  const { from, to } = await openPipe(dir, size);
  const controller = new AbortController();
  using faults = new DisposableStack();
  const piping = {
    from,
    to,
    abort: (reason?: unknown) => controller.abort(reason),
    use: (fault: Disposable) => faults.use(fault),
  };
  await prepare?.(piping);
  const piped = pipeTo.call(from, to, { ...options, signal: controller.signal });
  const result = piped.then(() => "resolved", inWords);
  await during?.(piping);
  const ending = {
    result: await result,
    reader: from.locked ? "locked" : await stateOfReader(from),
    writer: to.locked ? "locked" : await stateOfWriter(to),
  };
  // After an error descriptors are closed a little later.
  await eventually(() => engine.counters.inFlight === 0);
  const open = [descriptorsOf(from.file.path), descriptorsOf(to.file.path)];
  faults.dispose();
  if (ending.writer === "open") await to.flushAligned({ tail: true });
  await to.abort().catch(() => {});
  for (const each of [from, from.file, to.file]) await each.close().catch(() => {});
  const { size: length } = await Deno.stat(to.file.path);
  await assertFile(to.file.path, pattern(length));
  return { ...ending, open };
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
  await pause(1);
  writer.releaseLock();
  return state;
}

/** An error or another reason, for comparisons. */
function inWords(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : Deno.inspect(error);
}
