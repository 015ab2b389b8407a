// Programs that change shared globals, as dependencies, test frameworks and emulated browsers do: no operation reads
// properties of Object.prototype, and the module keeps using Deno's functions and classes.

import { assertEquals } from "@std/assert";
import { engineTest } from "../faults/machine.ts";
import { standInArguments } from "../setup/import_map.ts";
import { urlOf } from "../setup/command.ts";
import { runChild } from "../support/child.ts";

/** Fields of operations, of submission queue entries and of writers, except `name`, which Deno's own FFI would read. */
const fields =
  `op fd memory offset length position waits directory flags mode dataOnly byProc targetDirectory
  targetName targetFd targetPosition operation milliseconds opcode address bufferIndex forceAsync
  registration paths device unnamed temporary limited budget last steps
  cached resolve isTaken item`.split(/\s+/);

/** Options whose setters swallow them. */
const options = "position append sizeHint preallocate closeFile bufferSize truncate".split(" ");

const tampering = {
  "Properties of Object.prototype": `
    const tamper = (names, property) => {
      for (const name of names) Object.defineProperty(Object.prototype, name, property);
    };
    tamper(${JSON.stringify(fields)}, { value: 1, writable: true, configurable: true });
    tamper(${JSON.stringify(options)}, { get: () => 1, set() {}, configurable: true });`,
  "Replaced global functions and classes": `
    const never = () => 0;
    Object.assign(globalThis, {
      queueMicrotask: never, setTimeout: never, clearTimeout: never, setImmediate: never,
      ReadableStream: class {}, WritableStream: class {}, performance: {}, addEventListener: never,
    });
    crypto.randomUUID = never;`,
};

for (const [name, tamper] of Object.entries(tampering)) {
  engineTest(`${name} lose nothing`, async (directory, engine) => {
    const program = `
      const { allWork } = await import("${urlOf("tests/faults/programs/jobs.ts")}");
      ${tamper}
      const { wrong, used, info } = await allWork(directory);
      const file = await dma.DmaFile.open(directory + "/file", { write: true });
      await file.lock(true);
      const other = await dma.DmaFile.open(file.path);
      const locked = other.lock(true);
      await file.unlock();
      await locked;
      await (await dma.DmaFile.create(directory + "/left")).writable.write(new Uint8Array(9));
      console.log(wrong.join(), used, info.engine);
      Deno.exit();`;
    const { code, output } = await runChild(program, {
      flags: ["-A", "--preload=data:text/javascript,queueMicrotask=()=>0", ...standInArguments()],
      env: { DMA_ENGINE: engine },
      shell: 'set -- timeout 300 "$@"',
      values: { directory },
    });
    const { size } = await Deno.stat(`${directory}/left`);
    assertEquals([code, output, size], [0, ` 0 ${engine}`, 9]);
  });
}
