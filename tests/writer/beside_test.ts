// A writer beside other uses of its file: what reads, writes or renames it while the writer is at work or closes.

import { assert, assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter, ioStats } from "../../mod.ts";
import { assertFile, filled, pattern } from "../support/bytes.ts";
import { descriptorsOf, eventually } from "../support/descriptors.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { interpose } from "../support/interpose.ts";
import { openPattern } from "../support/patterned.ts";

/** Operations that wait until the test lets them go. */
class Held {
  readonly #waiting: (() => void)[] = [];

  /** Holds what `go` does. */
  hold(go: () => void): void {
    this.#waiting.push(go);
  }

  /** Resolves when an operation waits. */
  async come(): Promise<void> {
    await eventually(() => this.#waiting.length > 0);
  }

  /** Lets go what waits. */
  go(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}

/** A writer of 10,000 bytes that closes, and waits for writes that are held. */
async function closing(
  file: DmaFile,
): Promise<{ writer: DmaStreamWriter; writes: Held; closed: Promise<void> }> {
  const writes = new Held();
  using _ = interpose("write", ({ pass }) => writes.hold(pass));
  const writer = new DmaStreamWriter(file, { bufferSize: 4096 });
  await writer.write(pattern(10_000));
  const closed = writer.close();
  await writes.come();
  return { writer, writes, closed };
}

testInEachDirectory(
  "A read that begins while a writer closes is over before the descriptor is closed",
  async (dir) => {
    await Deno.writeFile(dir.file("other"), filled(10_000, 9));
    const file = await DmaFile.create(dir.file("file"));
    const { writer, writes, closed } = await closing(file);
    const reads = new Held();
    let reading: Promise<Uint8Array>;
    {
      using _ = interpose("read", ({ pass }) => reads.hold(pass));
      reading = file.readAt(0, 10_000);
      await reads.come();
    }
    writes.go();
    await eventually(() => writer.currentFlushedPos === 10_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    // Where the number was given back, one of these has it now.
    const others = Array.from({ length: 8 }, () => Deno.openSync(dir.file("other")));
    reads.go();
    assertEquals(
      await reading.finally(() => others.forEach((other) => other.close())),
      pattern(10_000),
    );
    await closed;
    assertEquals(descriptorsOf(dir.file("file")), 0);
    await assertFile(dir.file("file"), pattern(10_000));
  },
);

testInEachDirectory(
  "A file that is renamed while its writer closes has the directory synced in which it stands",
  async (dir) => {
    await Deno.mkdir(dir.file("folder"));
    await Deno.mkdir(dir.file("elsewhere"));
    const file = await DmaFile.create(dir.file("file"));
    const { writes, closed } = await closing(file);
    await file.rename(dir.file("folder/file"));
    const others: Deno.FsFile[] = [];
    const synced: string[] = [];
    const options = { create: true, write: true };
    using _close = interpose("close", ({ completion, pass }) =>
      pass({}, {
        complete: (result) => {
          // One of them has the number now.
          for (let count = 0; count < 8; count++) {
            others.push(Deno.openSync(dir.file("elsewhere/other"), options));
          }
          completion.complete(result);
        },
      }));
    using _sync = interpose("sync", ({ operation, pass }) => {
      synced.push(Deno.readLinkSync(`/proc/self/fd/${operation.fd}`));
      pass();
    });
    writes.go();
    await closed.finally(() => others.forEach((other) => other.close()));
    assert(synced.includes(Deno.realPathSync(dir.file("folder"))), synced.join(", "));
  },
);

testInEachDirectory(
  "close() makes durable what was done to the file beside the writer",
  async (dir) => {
    await using from = await openPattern(dir.file("from"), 10_000);
    const changes: ((file: DmaFile) => Promise<unknown>)[] = [
      (file) => file.writeAt(pattern(4096), 4096),
      (file) => file.truncate(10_000),
      (file) => file.preallocate(8192),
      (file) => file.deallocate(0, 4096),
      (file) => from.copyRangeTo(file, 0, 4096, 8192),
    ];
    for (const change of changes) {
      const file = await DmaFile.create(dir.file("file"), { direct: "off" });
      const writer = file.writable;
      await writer.write(pattern(4096));
      await writer.sync({ tail: true });
      await change(file).catch((error) => assertEquals(error.code, "EOPNOTSUPP"));
      const { syncs } = ioStats();
      await writer.close();
      assertEquals(ioStats().syncs, syncs + 1, String(change));
      // Its own bytes were durable before.
      assertEquals(await writer.sync(), 4096);
    }
  },
);

testInEachDirectory("A writer that is given up before it has opened cuts nothing", async (dir) => {
  const path = dir.file("file");
  await Deno.writeFile(path, new Uint8Array(512).fill(1));
  const file = await DmaFile.open(path, { write: true });
  await file.preallocate(4096);
  const stream = new DmaStreamWriter(file);
  stream.closed.catch(() => {});
  await file.close();
  assertEquals((await Deno.stat(path)).size, 4096);
});
