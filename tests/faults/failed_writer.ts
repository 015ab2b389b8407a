// What every failed writer owes its user, whatever it was that failed.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type DmaError, DmaFile, type DmaStreamWriter, ioStats } from "../../mod.ts";
import { content, firstWrongInFile } from "./content.ts";

/** Rejects where `promise` takes longer: whatever goes wrong, nothing hangs. */
export async function within<T>(seconds: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const CHUNK = 300_000;

/** The content from one position to another, in chunks. */
function* chunks(from: number, to: number, seed = 0): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = from; at < to; at += CHUNK) yield content(at, Math.min(CHUNK, to - at), seed);
}

export async function writeContent(
  writer: DmaStreamWriter,
  from: number,
  to: number,
  seed = 0,
): Promise<void> {
  for (const chunk of chunks(from, to, seed)) await within(30, "write", writer.write(chunk));
}

/** Writes content until that fails, at most `most` bytes. Resolves to the failure. */
export async function writeUntilFailure(writer: DmaStreamWriter, most: number): Promise<unknown> {
  try {
    await writeContent(writer, 0, most);
    await within(30, "close", writer.close());
  } catch (error) {
    return error;
  }
  throw new Error(`${most} bytes were written without a failure`);
}

/** Pipes content until that fails, at most `most` bytes. Resolves to the failure. */
export async function pipeUntilFailure(writer: DmaStreamWriter, most: number): Promise<unknown> {
  try {
    await within(60, "pipe", ReadableStream.from(chunks(0, most)).pipeTo(writer));
  } catch (error) {
    return error;
  }
  throw new Error(`${most} bytes were piped without a failure`);
}

export interface ExpectedFailure {
  code: string;
  /** The operation, or several that may be the first to notice. */
  op: string | string[];
  path: string;
}

/** Checks the fields and the message of an error of the operating system. */
export function assertIoError(error: unknown, { code, op, path }: ExpectedFailure): void {
  assert(error instanceof Error, `An error, not ${Deno.inspect(error)}`);
  const { code: itsCode, op: itsOp, path: itsPath, errno } = error as DmaError;
  assertEquals({ code: itsCode, path: itsPath }, { code, path }, error.stack ?? "");
  assert([op].flat().includes(itsOp), `${itsOp} is none of ${op}`);
  assert(error.message.includes(`(os error ${errno}): ${itsOp} '${path}'`), error.message);
}

/** Every call of a failed writer gives the first error; nothing is pretended afterwards. */
export async function assertSticky(writer: DmaStreamWriter, error: unknown): Promise<void> {
  const buffer = writer.file.allocBuffer(4096);
  const calls: Record<string, () => Promise<unknown>> = {
    write: () => writer.write(new Uint8Array(10)),
    "write of a large chunk": () => writer.write(new Uint8Array(2 << 20)),
    writeBuffer: () => writer.writeBuffer(buffer),
    flushAligned: () => writer.flushAligned(),
    sync: () => writer.sync(),
    "sync with tail": () => writer.sync({ tail: true }),
    seal: () => writer.seal(),
    close: () => writer.close(),
    pipeTo: () => ReadableStream.from([new Uint8Array(10)]).pipeTo(writer),
    "write of a stream writer": () => streamCall((lock) => lock.write(new Uint8Array(10))),
    "close of a stream writer": () => streamCall((lock) => lock.close()),
    "closed of a stream writer": () => streamCall((lock) => lock.closed),
  };
  async function streamCall(
    call: (lock: WritableStreamDefaultWriter<BufferSource>) => Promise<unknown>,
  ): Promise<unknown> {
    const lock = writer.getWriter();
    lock.ready.catch(() => {});
    lock.closed.catch(() => {});
    try {
      return await call(lock);
    } finally {
      lock.releaseLock();
    }
  }
  for (const round of [1, 2]) {
    for (const [name, call] of Object.entries(calls)) {
      const again = await within(10, name, assertRejects(call));
      assertStrictEquals(again, error, `${name}, round ${round}: ${Deno.inspect(again)}`);
    }
  }
}

/** Every byte below the flushed position is right, and the file is no longer than that. */
export async function assertCutToFlushed(writer: DmaStreamWriter, path: string): Promise<void> {
  const flushed = writer.currentFlushedPos;
  assertEquals((await Deno.stat(path)).size, flushed, "The length is the flushed position");
  assertEquals(await firstWrongInFile(path, flushed), -1, "The first wrong byte");
}

/** Nothing of this module is in use any more. */
export async function assertIdle(): Promise<void> {
  // A close without anybody who waits for it may still be under way.
  for (
    let tried = 0;
    tried < 100 && (ioStats().inFlight > 0 || ioStats().poolBuffers > 0);
    tried++
  ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { inFlight, poolBuffers } = ioStats();
  assertEquals({ inFlight, poolBuffers }, { inFlight: 0, poolBuffers: 0 });
}

/** Writes and reads back a file of its own, over and over, as long as `running` holds: nobody may disturb it. */
export async function bystander(path: string, running: () => boolean): Promise<number> {
  let rounds = 0;
  do {
    const length = 200_000 + rounds;
    await using file = await DmaFile.create(path);
    await file.writable.write(content(0, length, 7));
    await file.writable.close();
    assertEquals(await firstWrongInFile(path, length, 7), -1);
    rounds++;
  } while (running());
  return rounds;
}
