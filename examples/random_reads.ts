/**
 * Random reads over a table of fixed-size records: many keys are looked up at once, as a database does for a join or an
 * index scan. Reads of near records are merged, and many are in flight at once.
 *
 * The first run creates the table. Every record that is read is checked.
 *
 * ```sh
 * deno run --allow-ffi --allow-read=. --allow-write=. examples/random_reads.ts
 * ```
 *
 * Options: `--table table.bin --records 1000000 --lookups 20000 --unsorted`.
 *
 * @module
 */
import { DmaFile, DmaStreamWriter, ioStats } from "@denodma/dma";
import { parseArgs } from "node:util";

const RECORD = 256;

const { values } = parseArgs({
  options: {
    table: { type: "string", default: "table.bin" },
    records: { type: "string", default: "1000000" },
    lookups: { type: "string", default: "20000" },
    unsorted: { type: "boolean", default: false },
  },
});
const records = Number(values.records);
const lookups = Number(values.lookups);

/** The contents of a record are derived from its key: 32-bit words that no other record has. */
function fillRecord(view: DataView, at: number, key: number): void {
  for (let word = 0; word < RECORD / 4; word++) {
    view.setUint32(at + word * 4, Math.imul(key, 2_654_435_761) + word, true);
  }
}

function isRecord(bytes: Uint8Array, key: number): boolean {
  if (bytes.length !== RECORD) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const first = Math.imul(key, 2_654_435_761);
  for (let word = 0; word < RECORD / 4; word++) {
    if (view.getUint32(word * 4, true) !== (first + word) >>> 0) return false;
  }
  return true;
}

/** Opens the table. Creates it if there is none, or if its size differs. */
async function openTable(path: string): Promise<DmaFile> {
  const size = await Deno.stat(path).then(({ size }) => size, () => undefined);
  if (size !== records * RECORD) {
    // Atomic: an interrupted run leaves no partial table for the next one to use.
    const file = await DmaFile.create(path, { atomic: true });
    const writer = new DmaStreamWriter(file, { sizeHint: records * RECORD });
    const chunk = new Uint8Array(4096 * RECORD);
    const view = new DataView(chunk.buffer);
    for (let key = 0; key < records;) {
      const count = Math.min(4096, records - key);
      for (let index = 0; index < count; index++) fillRecord(view, index * RECORD, key++);
      await writer.write(chunk.subarray(0, count * RECORD));
    }
    await writer.close();
  }
  return await DmaFile.open(path);
}

await using table = await openTable(values.table);

const keys = Array.from({ length: lookups }, () => Math.floor(Math.random() * records));
// Only ranges that follow each other in this order can be merged. A database can sort its keys.
if (!values.unsorted) keys.sort((a, b) => a - b);

const readsBefore = ioStats();
const began = performance.now();
const ranges = keys.map((key) => ({ position: key * RECORD, length: RECORD }));
let index = 0;
// Reading a gap of some blocks costs less than another read.
for await (const { bytes } of table.readMany(ranges, { maxGap: 16 * 1024, concurrency: 64 })) {
  const key = keys[index++]!;
  if (!isRecord(bytes, key)) throw new Error(`Record ${key} of '${values.table}' is damaged`);
}
const seconds = (performance.now() - began) / 1000;
const { reads, bytesRead } = ioStats();

console.log(`${index} records of ${RECORD} bytes looked up in ${seconds.toFixed(2)} s, all right`);
console.log(`${Math.round(index / seconds)} lookups a second`);
console.log(
  `${reads - readsBefore.reads} reads of ${
    ((bytesRead - readsBefore.bytesRead) / 1024 ** 2).toFixed(1)
  } MiB, ${table.direct ? "past" : "through"} the page cache`,
);
