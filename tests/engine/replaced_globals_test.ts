// A program that replaces global functions and classes while files are open, as test frameworks and emulated browsers do:
// the module goes on with those of Deno.

import { assertEquals } from "@std/assert";
import { engines } from "../faults/machine.ts";
import { assertFile } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { testInOneDirectory } from "../support/dirs.ts";

const LENGTH = 3_000_000;

testInOneDirectory("Replaced global functions and classes lose nothing", async (dir) => {
  for (const engine of engines) {
    const path = dir.file(engine);
    const { code, output } = await runChild(
      `
      const never = () => 0;
      Object.assign(globalThis, {
        queueMicrotask: never, setTimeout: never, clearTimeout: never, setImmediate: never,
        ReadableStream: class {}, WritableStream: class {},
      });
      const { DmaFile } = dma;
      const path = ${JSON.stringify(path)};
      const writer = (await DmaFile.create(path)).writable;
      for (let at = 0; at < ${LENGTH}; at += 1e6) await writer.write(new Uint8Array(1e6).fill(at / 1e6));
      await writer.sync({ tail: true });
      await writer.close();
      const file = await DmaFile.open(path);
      const other = await DmaFile.open(path);
      await file.lock(true);
      const locked = other.lock(true);
      await file.unlock();
      await locked;
      await other.close();
      await file.readable.pipeTo((await DmaFile.create(path + "2", { atomic: true })).writable);
      console.log(dma.engineInfo().engine);
      Deno.exit();
    `,
      { env: { DMA_ENGINE: engine }, shell: 'set -- timeout 20 "$@"' },
    );
    assertEquals([code, output], [0, engine]);
    const bytes = Uint8Array.from({ length: LENGTH }, (_, at) => Math.floor(at / 1e6));
    await assertFile(path, bytes);
    await assertFile(`${path}2`, bytes);
  }
}, { bothEngines: false });
