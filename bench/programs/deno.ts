// Deno's own side of the comparison: one job a process.
//
//     deno run -A programs/deno.ts JOB path=… size=… [chunk=…] [source=…]

import {
  everywhere,
  measureOneOf,
  parsePairs,
  warmChunk,
  warmStream,
  writeFiles,
} from "./measure.mjs";

const given = parsePairs(Deno.args.slice(1));
const { path, size, chunk, source, count } = given;

/** Syncs through a second descriptor, because `FsFile.writable` closes its own without a sync. */
async function syncData(name: string): Promise<void> {
  using file = await Deno.open(name, { write: true });
  await file.syncData();
}

async function writeFile(bytes: Uint8Array, name: string): Promise<void> {
  using file = await Deno.open(name, { write: true, create: true, truncate: true });
  await file.write(bytes);
  await file.syncData();
}

/** Syncs the directory too: without that a power cut can remove the name. */
async function writeFileAndName(bytes: Uint8Array, name: string): Promise<void> {
  await writeFile(bytes, name);
  using directory = await Deno.open(path);
  await directory.sync();
}

const jobs: Record<string, (opened: () => void) => Promise<Record<string, unknown>>> = {
  async pipe(opened) {
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    opened();
    await warmStream(size, chunk).pipeTo(file.writable);
    await syncData(path);
    return { bytes: size };
  },
  async records(opened) {
    const bytes = warmChunk(chunk);
    const file = await Deno.open(path, { write: true, create: true, truncate: true });
    opened();
    const writer = file.writable.getWriter();
    for (let left = count; left > 0; left--) await writer.write(bytes);
    await writer.close();
    await syncData(path);
    return { bytes: count * chunk, count };
  },
  async randomRead(opened) {
    using file = await Deno.open(source);
    opened();
    return await everywhere(given, () => {
      const bytes = new Uint8Array(chunk);
      return async (position: number) => {
        await file.seek(position, Deno.SeekMode.Start);
        await file.read(bytes);
      };
    });
  },
  async read(opened) {
    const file = await Deno.open(source);
    opened();
    let bytes = 0;
    for await (const part of file.readable) bytes += part.length;
    return { bytes };
  },
  async copy(opened) {
    const from = await Deno.open(source);
    const to = await Deno.open(path, { write: true, create: true, truncate: true });
    opened();
    await from.readable.pipeTo(to.writable);
    await syncData(path);
    return { bytes: size };
  },
  async writers(opened) {
    await Deno.mkdir(path);
    const names = Array.from({ length: count }, (_, index) => `${path}/${index}`);
    const options = { write: true, createNew: true };
    const files = await Promise.all(names.map((name) => Deno.open(name, options)));
    opened();
    const each = Math.ceil(size / count);
    await Promise.all(files.map((file) => warmStream(each, chunk).pipeTo(file.writable)));
    await Promise.all(names.map(syncData));
    return { bytes: each * count, count };
  },
  files: () => writeFiles(given, Deno.mkdir, writeFile),
  filesAndNames: () => writeFiles(given, Deno.mkdir, writeFileAndName),
  nothing: () => Promise.resolve({ count: 1 }),
};

await measureOneOf(jobs, Deno.args[0]);
