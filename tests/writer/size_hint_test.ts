// What sizeHint reserves is given back, whichever way a writer ends, or at least stands in the file's length.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { Errno } from "../../src/engine/linux.ts";
import { engines } from "../faults/machine.ts";
import { assertFile, filled, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { eventually } from "../support/descriptors.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import { interpose } from "../support/interpose.ts";
import { closeWith, create } from "./create.ts";

const MiB = 1 << 20;
const reserved = 64 * MiB;
const written = MiB + 1;

/** Where space is reserved in front of the writes, and given back by a cut. */
const where = ({ fileSystem }: TestDirectory) => ["ext4", "xfs"].includes(fileSystem);

/** Bytes of the disk that a file takes. */
function taken(path: string): number {
  return Deno.statSync(path).blocks! * 512;
}

/** Throws unless the file has these bytes, and takes little more than they do. */
async function assertGivenBack(path: string, expected: Uint8Array, msg?: string): Promise<void> {
  await assertFile(path, expected, msg);
  assert(taken(path) < written + MiB, `${taken(path)} bytes are taken`);
}

testInEachDirectory("What sizeHint reserved is given back by close and abort", async (dir) => {
  for (const end of ["close", "seal", "abort"] as const) {
    const writer = await create(dir, { sizeHint: reserved });
    const { file } = writer;
    await writer.write(pattern(written));
    await writer.flushAligned({ tail: true });
    await eventually(() => taken(file.path) >= reserved);
    await writer[end]();
    await file.close();
    await assertGivenBack(file.path, pattern(written), end);
  }
}, { where });

for (const engine of engines) {
  testInEachDirectory(`What sizeHint reserves is seen after a crash, ${engine}`, async (dir) => {
    const path = dir.file("file");
    const { signal, output } = await runChild(
      `const writer = new dma.DmaStreamWriter(await dma.DmaFile.create(path), { sizeHint: reserved });
      await writer.write(new Uint8Array(written).fill(7));
      await writer.flushAligned({ tail: true });
      while (Deno.statSync(path).blocks * 512 < reserved) await new Promise((go) => setTimeout(go, 1));
      Deno.kill(Deno.pid, "SIGKILL");
      await new Promise(() => {});`,
      { env: { DMA_ENGINE: engine }, values: { path, reserved, written } },
    );
    assertEquals(signal, "SIGKILL", output);
    // Nothing is behind the end of the file, where no length shows it.
    assertEquals((await Deno.stat(path)).size, reserved);
    assert(taken(path) < reserved + MiB);
    await using file = await DmaFile.open(path, { write: true });
    await file.truncate(written);
    await assertGivenBack(path, filled(written, 7));
  }, { bothEngines: false, where });
}

testInEachDirectory("What another process appends stays if nothing is reserved", async (dir) => {
  // It fails before the write is over.
  using _ = interpose("allocate", ({ completion }) => {
    queueMicrotask(() => completion.complete(-Errno.EOPNOTSUPP));
  });
  const writer = await create(dir, { sizeHint: reserved });
  await writer.write(pattern(4096));
  await writer.flushAligned({ tail: true });
  await Deno.writeFile(writer.file.path, pattern(100, 4096), { append: true });
  await closeWith(writer, pattern(4196));
}, { where });
