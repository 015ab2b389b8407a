// The promises of every failed writer, whatever has failed.

import { assert, assertRejects, assertStrictEquals } from "@std/assert";
import type { DmaError, DmaStreamWriter } from "../../mod.ts";
import { within } from "../setup/command.ts";
import { MIB, pattern } from "../support/bytes.ts";

const CHUNK = 300_000;

/** Writes the pattern from the position of a writer up to `end`. */
export async function writeContent(writer: DmaStreamWriter, end: number): Promise<void> {
  for (let at = writer.currentPos; at < end; at += CHUNK) {
    await within(30, "write", writer.write(pattern(Math.min(CHUNK, end - at), at)));
  }
}

export async function finish(writer: DmaStreamWriter, end: number): Promise<void> {
  await writeContent(writer, end);
  await within(30, "close", writer.close());
}

/** Throws unless `call` fails in time, with one of these codes and operations. Resolves to the failure. */
export async function assertFails(
  call: () => Promise<unknown>,
  { code, op, path }: { code: string | string[]; op: string | string[]; path: string },
): Promise<unknown> {
  const error = await within(60, "The failure", assertRejects(call, Error)) as DmaError;
  const told = [[error.code, code], [error.op, op], [error.path, path]] as const;
  for (const [is, expected] of told) {
    assert([expected].flat().includes(is!), `${is} is none of ${expected}: ${error.stack}`);
  }
  const end = `(os error ${error.errno}): ${error.op} '${error.path}'`;
  assert(error.message.includes(end), error.message);
  return error;
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
    "write of a large chunk": () => writer.write(new Uint8Array(2 * MIB)),
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
