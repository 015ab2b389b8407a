// Writes a new durable file in chunks of 100 B to 1 MiB, beside FsFile.writable and syncData.

import { formatSize } from "../cli/units.ts";
import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays, CHUNK_SIZES, DISK_RUNS } from "./harness/ways.ts";
import { warmChunk, warmStream } from "./programs/measure.mjs";

const path = `${benchDirectory()}/file`;
const fresh = { write: true, create: true, truncate: true } as const;

for (const { name, chunk, total } of CHUNK_SIZES) {
  const bytes: Uint8Array<ArrayBuffer> = warmChunk(chunk);

  benchWays(`write ${formatSize(total)} by ${name}`, DISK_RUNS, {
    [`FsFile.writable + syncData, pipeTo, ${name}`]: async () => {
      const file = await Deno.open(path, fresh);
      await warmStream(total, chunk).pipeTo(file.writable);
      using again = await Deno.open(path, { write: true });
      await again.syncData();
    },
    [`FsFile.writeSync + syncData, ${name}`]: async () => {
      using file = await Deno.open(path, fresh);
      for (let left = total; left > 0; left -= chunk) file.writeSync(bytes);
      await file.syncData();
    },
    [`DmaStreamWriter, pipeTo, ${name}`]: async () => {
      const file = await DmaFile.create(path);
      await warmStream(total, chunk).pipeTo(new DmaStreamWriter(file));
    },
    [`DmaStreamWriter, write(), ${name}`]: async () => {
      await using writer = new DmaStreamWriter(await DmaFile.create(path));
      for (let left = total; left > 0; left -= chunk) await writer.write(bytes);
    },
  });
}
