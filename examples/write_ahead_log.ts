/**
 * A write-ahead log. `append` resolves when a record is durable, and many appends at once share one sync. Every record
 * that was acknowledged survives a kill and a power cut.
 *
 * ```sh
 * deno run --allow-ffi --allow-read=orders.wal --allow-write=orders.wal examples/write_ahead_log.ts append 10000
 * ```
 *
 * This prints the number of each record when it is durable. Kill it, and run it with `recover` in place of
 * `append 10000`: it prints the records of the log.
 *
 * @module
 */
import { DmaFile, DmaStreamReader, DmaStreamWriter, ioStats } from "@denodma/dma";
import { crc32 } from "node:zlib";

/** Bytes before each record: its length and its checksum, as 32-bit numbers. */
const HEADER = 8;
const LONGEST = 1024 ** 2;

/** The checksum covers the length too. No record is empty, so zeros are never a record. */
function checksum(record: Uint8Array): number {
  return crc32(record, record.length);
}

function framed(record: Uint8Array): Uint8Array<ArrayBuffer> {
  if (record.length < 1 || record.length > LONGEST) {
    throw new RangeError(`Cannot append ${record.length} bytes: a record has 1 to ${LONGEST}`);
  }
  const frame = new Uint8Array(HEADER + record.length);
  const header = new DataView(frame.buffer);
  header.setUint32(0, record.length, true);
  header.setUint32(4, checksum(record), true);
  frame.set(record, HEADER);
  return frame;
}

/** Every record up to the first incomplete one. Later bytes were never acknowledged. */
async function* records(file: DmaFile): AsyncGenerator<Uint8Array> {
  let rest = new Uint8Array(0);
  for await (const chunk of new DmaStreamReader(file, { closeFile: false })) {
    const bytes = new Uint8Array(rest.length + chunk.length);
    bytes.set(rest);
    bytes.set(chunk, rest.length);
    const view = new DataView(bytes.buffer);
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const length = view.getUint32(at, true);
      if (length < 1 || length > LONGEST) return;
      if (bytes.length - at - HEADER < length) break;
      const record = bytes.subarray(at + HEADER, at + HEADER + length);
      if (checksum(record) !== view.getUint32(at + 4, true)) return;
      yield record;
      at += HEADER + length;
    }
    rest = bytes.subarray(at);
  }
}

/**
 * Makes the name of a new log durable before its records, by closing a writer. If the process is killed before that, no
 * record was acknowledged.
 */
async function createMissing(path: string): Promise<void> {
  try {
    const file = await DmaFile.open(path, { write: true, createNew: true });
    await file.writable.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** Takes the lock. The kernel keeps the lock of a killed process until its last writes have ended. */
async function lock(file: DmaFile): Promise<void> {
  for (let tries = 0; !await file.tryLock(true); tries++) {
    if (tries === 100) throw new Deno.errors.Busy(`Another process has '${file.path}'`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A log that only one process at a time can open. */
export class WriteAheadLog {
  private constructor(private readonly writer: DmaStreamWriter) {}

  /** Opens a log, passes each of its records to `replay`, and continues after the last one. */
  static async open(path: string, replay: (record: Uint8Array) => void): Promise<WriteAheadLog> {
    await createMissing(path);
    const file = await DmaFile.open(path, { write: true });
    try {
      await lock(file);
      let end = 0;
      for await (const record of records(file)) {
        replay(record);
        end += HEADER + record.length;
      }
      // An incomplete record, and the zeros of a killed writer, must not remain past new records.
      await file.truncate(end);
      // The records that were read may not be durable yet, and must be before the caller acts on them.
      await file.sync();
      return new WriteAheadLog(new DmaStreamWriter(file, { position: end }));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Resolves when the record is durable, to the position of its header. The first failure is final: all later calls
   * reject with it.
   */
  async append(record: Uint8Array): Promise<number> {
    // Read before the write. currentPos would not count records that wait for room.
    const position = this.writer.nextPos;
    await this.writer.write(framed(record));
    // Appends that come while a sync runs share the next one.
    await this.writer.sync({ tail: true });
    return position;
  }

  async close(): Promise<void> {
    await this.writer.close();
  }
}

if (import.meta.main) {
  const [command, count = ""] = Deno.args;
  if (command !== "recover" && !(command === "append" && /^\d+$/.test(count))) {
    console.error("Usage: write_ahead_log.ts append COUNT | recover");
    Deno.exit(2);
  }
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();
  let next = 0;
  const log = await WriteAheadLog.open("orders.wal", (record) => {
    if (command === "recover") console.log(decoder.decode(record));
    next++;
  });
  if (command === "append") {
    const last = next + Number(count);
    // 64 clients, as on a busy server. Each takes the next number when its last record is durable.
    const clients = Array.from({ length: 64 }, async () => {
      while (next < last) {
        const id = next++;
        await log.append(encoder.encode(JSON.stringify({ id, item: "tea", grams: id % 1000 })));
        console.log(id);
      }
    });
    await Promise.all(clients);
    // A write that is durable at once takes the place of a write and a sync.
    const { writes, syncs } = ioStats();
    console.error(`${count} records, ${writes + syncs} writes and syncs`);
  }
  await log.close();
}
