// What sizeHint reserves is given back, whichever way a writer ends, or at least stands in the file's length.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { engines } from "../faults/machine.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { eventually } from "../support/descriptors.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { interpose } from "../support/interpose.ts";

const MiB = 1 << 20;
const RESERVED = 64 * MiB;
const WRITTEN = MiB + 1;

/** Where space is reserved in front of the writes, and given back by a cut. */
const where = ({ fileSystem }: TestDirectory) => ["ext4", "xfs"].includes(fileSystem);

/** Bytes of the disk that a file takes. */
function taken(path: string): number {
  return Deno.statSync(path).blocks! * 512;
}

/** Writes a little with a large hint, and resolves when the space is reserved. */
async function begin(path: string): Promise<DmaStreamWriter> {
  const writer = new DmaStreamWriter(await DmaFile.create(path), { sizeHint: RESERVED });
  await writer.write(pattern(WRITTEN));
  await writer.flushAligned({ tail: true });
  await eventually(() => taken(path) >= RESERVED);
  return writer;
}

testInEachDirectory("What sizeHint reserved is given back by close and abort", async (dir) => {
  const path = dir.file("file");
  for (const end of ["close", "seal", "abort"] as const) {
    const writer = await begin(path);
    await writer[end]();
    await writer.file.close();
    await assertFile(path, pattern(WRITTEN));
    assert(taken(path) < WRITTEN + MiB, `${taken(path)} bytes are taken after ${end}`);
  }
}, { where });

/** Runs a program that reserves, and ends by `end`. */
async function endedBy(dir: TestDirectory, engine: string, end: string) {
  return await runChild(
    `const path = ${JSON.stringify(dir.file("file"))};
    const writer = new dma.DmaStreamWriter(await dma.DmaFile.create(path), { sizeHint: ${RESERVED} });
    await writer.write(new Uint8Array(${WRITTEN}).fill(7));
    await writer.flushAligned({ tail: true });
    while (Deno.statSync(path).blocks * 512 < ${RESERVED}) await new Promise((go) => setTimeout(go, 1));
    ${end}`,
    { env: { DMA_ENGINE: engine } },
  );
}

testInEachDirectory("What sizeHint reserved is given back at the end of a program", async (dir) => {
  for (const engine of engines) {
    for (const end of ["", "Deno.exit();"]) {
      const { code, output } = await endedBy(dir, engine, end);
      assertEquals([code, output], [0, ""]);
      await assertFile(dir.file("file"), new Uint8Array(WRITTEN).fill(7));
      assert(taken(dir.file("file")) < WRITTEN + MiB, `${taken(dir.file("file"))} bytes are taken`);
    }
  }
}, { bothEngines: false, where });

testInEachDirectory(
  "What sizeHint reserved before a crash is seen, and a cut gives it back",
  async (dir) => {
    const path = dir.file("file");
    for (const engine of engines) {
      const kill = "Deno.kill(Deno.pid, 'SIGKILL'); await new Promise(() => {});";
      const { signal, output } = await endedBy(dir, engine, kill);
      assertEquals(signal, "SIGKILL", output);
      // Nothing is behind the end of the file, where no length shows it.
      assertEquals((await Deno.stat(path)).size, RESERVED);
      assert(taken(path) < RESERVED + MiB);
      await using file = await DmaFile.open(path, { write: true });
      await file.truncate(WRITTEN);
      assert(taken(path) < WRITTEN + MiB, `${taken(path)} bytes are taken`);
      await assertFile(path, new Uint8Array(WRITTEN).fill(7));
    }
  },
  { bothEngines: false, where },
);

testInEachDirectory(
  "What another process appends stays where nothing could be reserved",
  async (dir) => {
    const path = dir.file("file");
    // It fails before the write is over.
    using _ = interpose("allocate", ({ completion }) => {
      queueMicrotask(() => completion.complete(-Errno.EOPNOTSUPP));
    });
    const file = await DmaFile.create(path);
    const writer = new DmaStreamWriter(file, { sizeHint: RESERVED });
    await writer.write(pattern(4096));
    await writer.flushAligned({ tail: true });
    await Deno.writeFile(path, pattern(100, 4096), { append: true });
    await writer.close();
    await assertFile(path, pattern(4196));
  },
  { where },
);
