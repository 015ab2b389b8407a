// A Worker that is ended while the kernel reads into its buffers and writes from them: the process lives on, and so do
// the files of everybody else.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";

const module = new URL("../../mod.ts", import.meta.url).href;

/** What a Worker does until it is ended: everything at once, without a pause. */
const work = `
  import { DmaFile, DmaStreamReader, DmaStreamWriter } from ${JSON.stringify(module)};
  self.onmessage = async ({ data: { directory, name } }) => {
    const source = directory + "/source";
    const forEver = (step) => (async () => { for (;;) await step(); })();
    const reading = await DmaFile.open(source);
    forEver(() => reading.readAt(Math.floor(Math.random() * 3e6), 700_000));
    forEver(() => reading.readAtAligned(0, 1 << 20));
    forEver(async () => {
      const stream = new DmaStreamReader(reading, { closeFile: false, readAhead: 2 });
      for await (const _ of stream);
    });
    forEver(async () => {
      const stream = new DmaStreamReader(reading, { closeFile: false, readAhead: 0 });
      const reader = stream.getReader({ mode: "byob" });
      let view = reading.allocBuffer(1 << 20).bytes;
      for (;;) {
        const { done, value } = await reader.read(view);
        if (done) break;
        view = new Uint8Array(value.buffer, value.byteOffset, 1 << 20);
      }
    });
    const writing = await DmaFile.create(directory + "/" + name + "-at");
    const buffer = writing.allocBuffer(1 << 20);
    forEver(() => writing.writeAt(buffer, 0));
    forEver(() => writing.writeAt(new Uint8Array(5 << 20), 1 << 20));
    forEver(async () => {
      const writer = new DmaStreamWriter(await DmaFile.create(directory + "/" + name + "-stream"));
      const chunk = new Uint8Array(300_000).fill(3);
      for (let count = 0; count < 30; count++) await writer.write(chunk);
      await writer.writeBuffer(writer.file.allocBuffer(1 << 20));
      await writer.sync({ tail: true });
      await writer.close();
    });
    forEver(async () => {
      const target = await DmaFile.create(directory + "/" + name + "-pipe");
      await (await DmaFile.open(source)).readable.pipeTo(target.writable);
    });
    self.postMessage("at work");
  };
`;

testInOneDirectory("A Worker may be ended in the middle of its I/O", async (dir) => {
  await Deno.writeFile(dir.file("source"), pattern(4_000_001));
  const { code, output } = await runChild(`
    import { collectGarbage } from ${
    JSON.stringify(new URL("../support/leaks.ts", import.meta.url).href)
  };
    const directory = ${JSON.stringify(dir.path)};
    const url = "data:text/javascript," + encodeURIComponent(${JSON.stringify(work)});
    const whole = await Deno.readFile(directory + "/source");
    const same = (one, other) => one.length === other.length &&
      one.every((byte, index) => byte === other[index]);
    for (let round = 0; round < 4; round++) {
      const worker = new Worker(url, { type: "module" });
      worker.onerror = (event) => {
        console.log("worker failed:", event.message);
        Deno.exit(1);
      };
      const started = new Promise((resolve) => worker.onmessage = resolve);
      worker.postMessage({ directory, name: "worker-" + round % 2 });
      await started;
      const mine = await dma.DmaFile.create(directory + "/mine");
      const copied = (await dma.DmaFile.open(directory + "/source")).readable.pipeTo(mine.writable);
      await new Promise((resolve) => setTimeout(resolve, 3 + round * 9));
      worker.terminate();
      // Memory that was freed is handed out again and written to.
      await collectGarbage();
      const rubbish = Array.from({ length: 40 }, () => new Uint8Array(1 << 20).fill(9));
      await copied;
      if (!same(await Deno.readFile(directory + "/mine"), whole)) throw new Error("copy differs");
      const file = await dma.DmaFile.open(directory + "/mine");
      if (!same(await file.readAt(0, 1e9), whole)) throw new Error("read differs");
      await file.close();
      if (rubbish.some((bytes) => bytes.some((byte) => byte !== 9))) throw new Error("overwritten");
    }
    if (!same(await Deno.readFile(directory + "/source"), whole)) throw new Error("source differs");
    console.log("alive", dma.ioStats().inFlight, dma.ioStats().poolBuffers);
    // What the Workers left behind must not keep the process alive either.
  `);
  assertStringIncludes(output, "alive 0 0");
  assertEquals(code, 0, output);
});
