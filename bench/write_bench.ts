// Writes a new durable file in chunks of 100 B to 1 MiB, beside FsFile.writable and syncData.

import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory, CHUNK_SIZES, DISK_RUNS } from "./harness/bench_directory.ts";
import { showBytes } from "./harness/units.ts";
import { warmChunk, warmStream } from "./programs/measure.mjs";

const path = `${benchDirectory()}/file`;

for (const { name, chunk, total } of CHUNK_SIZES) {
  const group = `write ${showBytes(total)} by ${name}`;

  Deno.bench({
    ...DISK_RUNS,
    group,
    baseline: true,
    name: `FsFile.writable + syncData, pipeTo, ${name}`,
    async fn() {
      const file = await Deno.open(path, { write: true, create: true, truncate: true });
      await warmStream(total, chunk).pipeTo(file.writable);
      using again = await Deno.open(path, { write: true });
      await again.syncData();
    },
  });

  Deno.bench({
    ...DISK_RUNS,
    group,
    name: `FsFile.writeSync + syncData, ${name}`,
    async fn() {
      using file = await Deno.open(path, { write: true, create: true, truncate: true });
      const bytes: Uint8Array = warmChunk(chunk);
      for (let left = total; left > 0; left -= chunk) file.writeSync(bytes);
      await file.syncData();
    },
  });

  Deno.bench({
    ...DISK_RUNS,
    group,
    name: `DmaStreamWriter, pipeTo, ${name}`,
    async fn() {
      const file = await DmaFile.create(path);
      await warmStream(total, chunk).pipeTo(new DmaStreamWriter(file));
    },
  });

  Deno.bench({
    ...DISK_RUNS,
    group,
    name: `DmaStreamWriter, write(), ${name}`,
    async fn() {
      await using writer = new DmaStreamWriter(await DmaFile.create(path));
      const bytes: Uint8Array<ArrayBuffer> = warmChunk(chunk);
      for (let left = total; left > 0; left -= chunk) await writer.write(bytes);
    },
  });
}
