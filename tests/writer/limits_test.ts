// A DmaStreamWriter that meets a limit of the real kernel: a full disk, a limit on the length of files, or a
// process that is killed.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type DmaError, DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { testDirectAndCached } from "../support/dirs.ts";
import { engine } from "../support/engine.ts";
import { run } from "../setup/command.ts";

const MiB = 1024 * 1024;

Deno.test("A writer has no way to /dev/full", async () => {
  await assertRejects(() => DmaFile.create("/dev/full"), Deno.errors.NotSupported, "device");
});

/** Runs with a tmpfs of this size mounted. */
async function onSmallDisk(size: number, fn: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir({ prefix: "dma-small-" });
  try {
    const mount = await run("mount", ["-t", "tmpfs", "-o", `size=${size}`, "dma-small", path]);
    assert(mount.success, mount.output);
    try {
      await fn(path);
    } finally {
      assert((await run("umount", [path])).success);
    }
  } finally {
    await Deno.remove(path);
  }
}

Deno.test({
  name: "A full disk fails the writer, and the file is cut to what is whole",
  ignore: Deno.uid() !== 0,
  fn: () =>
    onSmallDisk(8 * MiB, async (dir) => {
      for (const preallocate of [true, false]) {
        const path = `${dir}/file`;
        const writer = new DmaStreamWriter(await DmaFile.create(path), {
          bufferSize: 256 * 1024,
          preallocate,
        });
        const bytes = pattern(MiB);
        const error = await assertRejects(
          async () => {
            for (let index = 0; index < 20; index++) await writer.write(bytes);
            await writer.close();
          },
          Error,
          "No space left on device (os error 28): write",
        ) as DmaError;
        assertEquals(error.code, "ENOSPC");
        await writer.abort();
        assertEquals(await assertRejects(() => writer.close()), error);
        assertEquals(descriptorsOf(path), 0);
        assertEquals(engine.pool.blocks, 0);
        const flushed = writer.currentFlushedPos;
        assert(flushed > MiB && flushed <= 8 * MiB, `${flushed}`);
        const { size, blocks } = await Deno.stat(path);
        assertEquals(size, flushed);
        // No reserve is left behind.
        assert(blocks! * 512 <= flushed + 4096);
        const written = await Deno.readFile(path);
        for (let at = 0; at < flushed; at += MiB) {
          const part = written.subarray(at, at + MiB);
          assertEquals(part, bytes.subarray(0, part.length));
        }
        // What was freed can be written again.
        const second = new DmaStreamWriter(await DmaFile.create(path));
        await second.write(pattern(5000));
        await second.close();
        await assertFile(path, pattern(5000));
      }
    }),
});

Deno.test({
  name: "A full disk fails an atomic file, which vanishes",
  ignore: Deno.uid() !== 0,
  fn: () =>
    onSmallDisk(4 * MiB, async (dir) => {
      await Deno.writeFile(`${dir}/file`, pattern(5000));
      const file = await DmaFile.create(`${dir}/file`, { atomic: true });
      const source = ReadableStream.from((function* () {
        for (;;) yield new Uint8Array(MiB);
      })());
      await assertRejects(() => source.pipeTo(file.writable), Error, "No space left on device");
      // The pipe says so at once; what was in flight is waited for here.
      await file.close();
      await assertFile(`${dir}/file`, pattern(5000));
      assertEquals([...Deno.readDirSync(dir)].length, 1);
    }),
});

Deno.test({
  name: "A disk with room for the bytes, but for no reserve, takes them",
  ignore: Deno.uid() !== 0,
  fn: () =>
    onSmallDisk(8 * MiB, async (dir) => {
      const bytes = pattern(7 * MiB + 1);
      for (const sizeHint of [0, 100 * MiB]) {
        const writer = new DmaStreamWriter(await DmaFile.create(`${dir}/file`), {
          bufferSize: 256 * 1024,
          sizeHint,
        });
        await writer.write(bytes);
        await writer.close();
        await assertFile(`${dir}/file`, bytes);
      }
    }),
});

testDirectAndCached("A limit on the length of files fails the writer there", async (dir) => {
  const path = dir.file("limited");
  const limit = 1000 * 1024;
  // SIGXFSZ would end the process: a shell that ignores it has its children ignore it.
  const { output, code } = await runChild(
    `
    const writer = new dma.DmaStreamWriter(
      await dma.DmaFile.create(${JSON.stringify(path)}),
      { bufferSize: 65536, preallocate: false },
    );
    try {
      for (let index = 0; index < 40; index++) await writer.write(new Uint8Array(65536).fill(1));
      await writer.close();
      console.log("written");
    } catch (error) {
      await writer.abort();
      console.log(error.code, writer.currentFlushedPos);
    }
  `,
    { shell: `trap '' XFSZ; ulimit -f ${limit / 512}` },
  );
  assertEquals(code, 0, output);
  const [name, flushed] = output.split(" ");
  assertEquals(name, "EFBIG");
  const { size } = await Deno.stat(path);
  assertEquals(size, Number(flushed));
  assert(size <= limit && size >= limit - 5 * 65_536, `${size}`);
  await assertFile(path, new Uint8Array(size).fill(1));
});

testDirectAndCached(
  "A limit on the length of files does not hinder what stays below",
  async (dir) => {
    const path = dir.file("below");
    const limit = 8 * MiB;
    const { output } = await runChild(
      `
    const writer = new dma.DmaStreamWriter(await dma.DmaFile.create(${JSON.stringify(path)}));
    for (let index = 0; index < 7; index++) await writer.write(new Uint8Array(1 << 20).fill(1));
    await report(() => writer.close());
  `,
      { shell: `trap '' XFSZ; ulimit -f ${limit / 512}` },
    );
    // The reserve is asked for past the limit, is refused, and nobody needs to know.
    assertEquals(output, "ok undefined");
    await assertFile(path, new Uint8Array(7 * MiB).fill(1));
  },
);

testDirectAndCached("Everything below the last sync is there after SIGKILL", async (dir) => {
  for (const preallocate of [true, false]) {
    const path = dir.file("killed");
    const { output, signal } = await runChild(
      `
      const writer = new dma.DmaStreamWriter(
        await dma.DmaFile.create(${JSON.stringify(path)}),
        { bufferSize: 65536, preallocate: ${preallocate} },
      );
      const chunk = new Uint8Array(100_000);
      for (let index = 1; index <= 50; index++) await writer.write(chunk.fill(index));
      console.log(await writer.sync({ tail: true }));
      await writer.write(chunk.fill(0xff));
      Deno.kill(Deno.pid, "SIGKILL");
    `,
    );
    assertEquals(signal, "SIGKILL");
    const durable = Number(output);
    assertEquals(durable, 5_000_000);
    const bytes = await Deno.readFile(path);
    assert(bytes.length >= durable);
    for (let index = 1; index <= 50; index++) {
      const part = bytes.subarray((index - 1) * 100_000, index * 100_000);
      assertEquals(part, new Uint8Array(100_000).fill(index));
    }
    // What follows is data or zeros; without preallocate no reserve, and at most a block of padding.
    assert(bytes.subarray(durable).every((byte) => byte === 0xff || byte === 0));
    if (!preallocate) assert(bytes.length <= durable + 100_000 + 4096, `${bytes.length}`);
  }
});

testDirectAndCached(
  "A process ends by itself when its files are closed, and when they are not",
  async (dir) => {
    for (
      const end of ["await writer.close();", "await file.close();", "await writer.abort();", ""]
    ) {
      const started = performance.now();
      const { output, code } = await runChild(`
      const file = await dma.DmaFile.create(${JSON.stringify(dir.file("ended"))});
      const writer = file.writable;
      await writer.write(new Uint8Array(100_000));
      await writer.flushAligned();
      ${end}
      console.log("end");
    `);
      assertEquals([code, output], [0, "end"], end);
      assert(performance.now() - started < 10_000);
    }
  },
);

testDirectAndCached("Operations in flight keep the process alive until they end", async (dir) => {
  const path = dir.file("kept alive");
  // Nobody awaits the end.
  const { code, output } = await runChild(`
    const file = await dma.DmaFile.create(${JSON.stringify(path)});
    file.writable.write(new Uint8Array(5_000_000).fill(3));
    file.writable.close();
  `);
  assertEquals([code, output], [0, ""]);
  await assertFile(path, new Uint8Array(5_000_000).fill(3));
});
