// A program, or one of its dependencies, that puts properties into Object.prototype: no operation takes them for its own.

import { assertEquals } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { assertFile, namesIn } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";

/** Fields of operations, of submission queue entries and of a writer's state; but `name`, which Deno's own FFI takes for its own. */
const names =
  `op fd memory offset length position buffered directory flags mode dataOnly byProc targetDirectory
  targetName targetFd targetPosition operation milliseconds opcode address bufferIndex forceAsync
  registration paths device unnamed temporary limited budget last steps cutError`.split(/\s+/);

for (const engine of engines) {
  testInOneDirectory(`Properties of Object.prototype change nothing [${engine}]`, async (dir) => {
    const program = `
      for (const name of ${JSON.stringify(names)}) {
        const property = { value: 1, writable: true, configurable: true };
        Object.defineProperty(Object.prototype, name, property);
      }
      const { DmaFile } = dma;
      const bytes = (length, from = 0) => Uint8Array.from({ length }, (_, at) => (from + at) % 251);
      const path = ${JSON.stringify(dir.file("file"))};
      const writer = (await DmaFile.create(path, { atomic: true })).writable;
      await writer.write(bytes(100000));
      await writer.sync({ tail: true });
      await writer.write(bytes(100000, 100000));
      await writer.close();
      const file = await DmaFile.open(path, { write: true });
      await file.writeAt(bytes(8192, 200000), 204800);
      await file.truncate(200000);
      await file.preallocate(1 << 20, { keepSize: true });
      const copy = await DmaFile.create(path + "2");
      await file.copyRangeTo(copy, 0, 200000, 0);
      await copy.rename(path + "3");
      await file.tryLock(true);
      let read = 0;
      const reader = new dma.DmaStreamReader(file, { closeFile: false });
      for await (const chunk of reader) read += chunk.length;
      const ranges = [{ position: 5, length: 10 }];
      for await (const { bytes } of file.readMany(ranges)) read += bytes.length;
      await Promise.all([file.close(), copy.close()]);
      console.log(read, dma.ioStats().inFlight, dma.engineInfo().engine);`;
    const { code, output } = await runChild(program, { env: { DMA_ENGINE: engine } });
    assertEquals([code, output], [0, `200010 0 ${engine}`]);
    assertEquals(await namesIn(dir.path), ["file", "file3"]);
    const bytes = Uint8Array.from({ length: 200_000 }, (_, at) => at % 251);
    await assertFile(dir.file("file"), bytes);
    await assertFile(dir.file("file3"), bytes);
  }, { bothEngines: false });
}
