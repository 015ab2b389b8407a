// Measures the cost of FFI and of streams, without a disk.

import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { benchDirectory } from "./harness/bench_directory.ts";
import { benchWays } from "./harness/ways.ts";
import { warmChunk, warmStream } from "./programs/measure.mjs";

const directory = benchDirectory();
const libc = Deno.dlopen("libc.so.6", {
  abs: { parameters: ["i32"], result: "i32" }, // value
});
const parked = Deno.dlopen("libc.so.6", {
  abs: { parameters: ["i32"], result: "i32", nonblocking: true }, // value
});

const CALLS = 1000;

benchWays(`${CALLS.toLocaleString("en-US")} calls`, { n: 200, warmup: 20 }, {
  "JavaScript": () => {
    for (let left = CALLS; left > 0; left--) Math.abs(-left);
  },
  "FFI": () => {
    for (let left = CALLS; left > 0; left--) libc.symbols.abs(-left);
  },
  "FFI on a thread, one after the other": async () => {
    for (let left = CALLS; left > 0; left--) await parked.symbols.abs(-left);
  },
});

await Deno.writeFile(`${directory}/file`, warmChunk(4096));
const own = await DmaFile.open(`${directory}/file`);
const theirs = await Deno.open(`${directory}/file`);

benchWays("one operation that needs no disk", {}, {
  "FsFile.stat": () => theirs.stat(),
  "DmaFile.stat": () => own.stat(),
});

const CHUNK = 65536;
const TOTAL = 64 << 20;
const target = new Uint8Array(1 << 20);

// On tmpfs the kernel copies once more, and no call waits for a disk.
const memory = benchDirectory("/dev/shm");

benchWays("pipeTo, 1,024 chunks of 64 KiB", { n: 20, warmup: 5 }, {
  "a WritableStream that does nothing": () =>
    warmStream(TOTAL, CHUNK).pipeTo(new WritableStream({ write() {} })),
  "a WritableStream that copies into memory": async () => {
    let at = 0;
    const sink = new WritableStream<Uint8Array>({
      write(chunk) {
        target.set(chunk, at);
        at = (at + chunk.length) % target.length;
      },
    });
    await warmStream(TOTAL, CHUNK).pipeTo(sink);
  },
  "FsFile.writable on tmpfs": async () => {
    const options = { write: true, create: true, truncate: true };
    const file = await Deno.open(`${memory}/deno`, options);
    await warmStream(TOTAL, CHUNK).pipeTo(file.writable);
  },
  "DmaStreamWriter on tmpfs": async () => {
    const file = await DmaFile.create(`${memory}/own`);
    await warmStream(TOTAL, CHUNK).pipeTo(new DmaStreamWriter(file));
  },
});
