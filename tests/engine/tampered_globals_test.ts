// Programs that change shared globals, as dependencies, test frameworks and emulated browsers do: no operation reads
// properties of Object.prototype, and the module keeps using Deno's functions and classes.

import { assertEquals } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { assertFile, namesIn } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";

/**
 * Fields of operations, of submission queue entries and of a writer's state, except `name`, which Deno's own FFI would
 * read.
 */
const fields =
  `op fd memory offset length position buffered directory flags mode dataOnly byProc targetDirectory
  targetName targetFd targetPosition operation milliseconds opcode address bufferIndex forceAsync
  registration paths device unnamed temporary limited budget last steps cutError
  cached isTaken item`.split(/\s+/);

const tampering = {
  "Properties of Object.prototype": `
    for (const name of ${JSON.stringify(fields)}) {
      const property = { value: 1, writable: true, configurable: true };
      Object.defineProperty(Object.prototype, name, property);
    }`,
  "Replaced global functions and classes": `
    const never = () => 0;
    Object.assign(globalThis, {
      queueMicrotask: never, setTimeout: never, clearTimeout: never, setImmediate: never,
      ReadableStream: class {}, WritableStream: class {}, performance: {},
    });`,
};

const HALF = 1_500_000;
const LENGTH = 2 * HALF;

for (const [name, tamper] of Object.entries(tampering)) {
  for (const engine of engines) {
    testInOneDirectory(`${name} lose nothing [${engine}]`, async (dir) => {
      const program = `${tamper}
        const { DmaFile } = dma;
        const bytes = (length, from = 0) =>
          Uint8Array.from({ length }, (_, at) => (from + at) % 251);
        const path = ${JSON.stringify(dir.file("file"))};
        const writer = (await DmaFile.create(path, { atomic: true })).writable;
        await writer.write(bytes(${HALF}));
        await writer.sync({ tail: true });
        await writer.write(bytes(${HALF}, ${HALF}));
        await writer.close();
        await (await DmaFile.create(path + "2")).writable.abort("given up");
        const file = await DmaFile.open(path, { write: true });
        await file.writeAt(bytes(8192), 4_096_000);
        await file.truncate(${LENGTH});
        await file.preallocate(8 << 20, { keepSize: true });
        const copy = await DmaFile.create(path + "2");
        await file.copyRangeTo(copy, 0, ${LENGTH}, 0);
        await copy.rename(path + "3");
        await file.lock(true);
        const other = await DmaFile.open(path);
        const locked = other.lock(true);
        await file.unlock();
        await locked;
        let read = 0;
        const reader = new dma.DmaStreamReader(file, { closeFile: false });
        for await (const chunk of reader) read += chunk.length;
        const ranges = [{ position: 5, length: 10 }];
        for await (const { bytes } of file.readMany(ranges)) read += bytes.length;
        await other.readable.pipeTo((await DmaFile.create(path + "4")).writable);
        await Promise.all([file.close(), copy.close()]);
        console.log(read, dma.ioStats().inFlight, dma.engineInfo().engine);
        Deno.exit();`;
      const options = { env: { DMA_ENGINE: engine }, shell: 'set -- timeout 20 "$@"' };
      const { code, output } = await runChild(program, options);
      assertEquals([code, output], [0, `${LENGTH + 10} 0 ${engine}`]);
      assertEquals(await namesIn(dir.path), ["file", "file3", "file4"]);
      const bytes = Uint8Array.from({ length: LENGTH }, (_, at) => at % 251);
      for (const name of await namesIn(dir.path)) await assertFile(dir.file(name), bytes);
    }, { bothEngines: false });
  }
}
