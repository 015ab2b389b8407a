// A writer beside other uses of its file: what reads, writes or renames it while the writer is at work or closes.

import { assertEquals } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../mod.ts";
import { assertFile, filled, pattern } from "./bytes.ts";
import { descriptorsOf, eventually } from "./descriptors.ts";
import { testInEachDirectory } from "./dirs.ts";
import { interpose } from "./interpose.ts";

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
  using _ = interpose("write", (real, args) => writes.hold(() => real(...args)));
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
      using _ = interpose("read", (real, args) => reads.hold(() => real(...args)));
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
    const opened: string[] = [];
    const options = { create: true, write: true };
    using _close = interpose("close", (real, [fd, done]) =>
      real(fd, {
        complete: (result) => {
          // One of them has the number now.
          for (let count = 0; count < 8; count++) {
            others.push(Deno.openSync(dir.file("elsewhere/other"), options));
          }
          done.complete(result);
        },
      }));
    using _open = interpose("open", (real, args) => {
      opened.push(args[1]);
      real(...args);
    });
    writes.go();
    await closed.finally(() => others.forEach((other) => other.close()));
    assertEquals(opened, [dir.file("folder")]);
  },
);
