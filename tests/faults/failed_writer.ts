// The promises of every failed writer, whatever has failed.

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type DmaError, DmaFile, type DmaStreamWriter, ioStats } from "../../mod.ts";
import { within } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { content, firstWrongInFile } from "./content.ts";

export const MiB = 1 << 20;

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

/** Two ways to bring content up to a length into a file, and to close it. */
export const ways = {
  "write()": async (writer: DmaStreamWriter, length: number): Promise<void> => {
    await writeContent(writer, writer.currentPos, length);
    await within(30, "close", writer.close());
  },
  "a pipe": (writer: DmaStreamWriter, length: number): Promise<void> =>
    within(60, "pipe", ReadableStream.from(chunks(writer.currentPos, length)).pipeTo(writer)),
};

/** Throws unless the file has exactly this length and content. */
export async function assertContent(path: string, length: number, seed = 0): Promise<void> {
  assertEquals((await Deno.stat(path)).size, length, `The length of ${path}`);
  assertEquals(await firstWrongInFile(path, length, seed), -1, `The first wrong byte of ${path}`);
}

export interface ExpectedFailure {
  /** One code, or several that a file system may return while it shuts down. */
  code: string | string[];
  /** The operation, or several that may fail first. */
  op: string | string[];
  path: string | string[];
}

/** Checks the fields and the message of an error of the operating system. */
export function assertIoError(error: unknown, { code, op, path }: ExpectedFailure): void {
  assert(error instanceof Error, `An error, not ${Deno.inspect(error)}`);
  const told = error as DmaError;
  for (const [is, expected] of [[told.code, code], [told.op, op], [told.path, path]] as const) {
    assert([expected].flat().includes(is), `${is} is none of ${expected}: ${error.stack}`);
  }
  const end = `(os error ${told.errno}): ${told.op} '${told.path}'`;
  assert(error.message.includes(end), error.message);
}

/** Throws unless `call` fails like this in time. Resolves to the failure. */
export async function assertFails(
  call: () => Promise<unknown>,
  expected: ExpectedFailure,
): Promise<unknown> {
  const error = await within(60, "The failure", assertRejects(call));
  assertIoError(error, expected);
  return error;
}

/** Throws unless `call` fails like this, and the writer reports the same error afterwards. */
export async function assertFailsForGood(
  writer: DmaStreamWriter,
  call: () => Promise<unknown>,
  expected: ExpectedFailure,
): Promise<void> {
  await assertSticky(writer, await assertFails(call, expected));
}

/** Every call of a failed writer rejects with the first error. */
export async function assertSticky(writer: DmaStreamWriter, error: unknown): Promise<void> {
  type Lock = WritableStreamDefaultWriter<BufferSource>;
  const locked = async (call: (lock: Lock) => Promise<unknown>) => {
    const lock = writer.getWriter();
    lock.ready.catch(() => {});
    lock.closed.catch(() => {});
    return await call(lock).finally(() => lock.releaseLock());
  };
  const buffer = writer.file.allocBuffer(4096);
  const calls: Record<string, () => Promise<unknown>> = {
    write: () => writer.write(new Uint8Array(10)),
    "write of a large chunk": () => writer.write(new Uint8Array(2 * MiB)),
    writeBuffer: () => writer.writeBuffer(buffer),
    flushAligned: () => writer.flushAligned(),
    sync: () => writer.sync(),
    "sync with tail": () => writer.sync({ tail: true }),
    seal: () => writer.seal(),
    close: () => writer.close(),
    pipeTo: () => ReadableStream.from([new Uint8Array(10)]).pipeTo(writer),
    "write of a stream writer": () => locked((lock) => lock.write(new Uint8Array(10))),
    "close of a stream writer": () => locked((lock) => lock.close()),
    "closed of a stream writer": () => locked((lock) => lock.closed),
  };
  for (const round of [1, 2]) {
    for (const [name, call] of Object.entries(calls)) {
      const again = await within(10, name, assertRejects(call));
      assertStrictEquals(again, error, `${name}, round ${round}: ${Deno.inspect(again)}`);
    }
  }
}

/** Asserts that no resource of this module is in use, at once or after a close that is not awaited. */
export async function assertIdle(): Promise<void> {
  const used = () => ioStats().inFlight + ioStats().poolBuffers;
  await eventually(() => used() === 0, "Nothing is in flight, and no buffer in use");
}

/** Writes and reads back a file repeatedly until it is disposed, without being disturbed. */
export function bystander(directory: string): AsyncDisposable {
  const path = `${directory}/beside`;
  let running = true;
  const working = (async () => {
    for (let length = 200_000; running || length === 200_000; length++) {
      const { writable } = await DmaFile.create(path);
      await writable.write(content(0, length, 7));
      await writable.close();
      await assertContent(path, length, 7);
    }
  })();
  working.catch(() => {});
  return {
    async [Symbol.asyncDispose]() {
      running = false;
      await working;
    },
  };
}
