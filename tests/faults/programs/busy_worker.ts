// A Worker that writes, reads and syncs without end, with many operations in flight. It gets { folder, what } and
// answers "busy" when it has begun. It runs as a Worker of the Web and of Node.

import { parentPort } from "node:worker_threads";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import { content } from "../content.ts";

const READ_SIZE = 20_480;
/** The memory of JavaScript's own that a read of that size would take. */
const WATCHED_SIZE = READ_SIZE + 4096;

/** The messaging functions that both kinds of Worker have. */
const scope = (parentPort ?? self) as unknown as {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
};

const busy = () => scope.postMessage("busy");

/** The kinds of work. */
const works: Record<string, (folder: string) => Promise<void>> = {
  write: async (folder) => {
    for (;;) {
      const file = await DmaFile.create(`${folder}/${crypto.randomUUID()}`);
      const writer = new DmaStreamWriter(file, { bufferSize: 256 * 1024 });
      for (let at = 0; at < 20_000_000; at += 500_000) {
        await writer.write(content(at, 500_000));
        if (at % 4_000_000 === 0) writer.sync().catch(() => {});
        busy();
      }
      await writer.close();
    }
  },
  read: async (folder) => {
    for (;;) {
      const file = await DmaFile.open(`${folder}/source`);
      for await (const _ of new DmaStreamReader(file, { bufferSize: 256 * 1024 })) busy();
    }
  },
  "read at": async (folder) => {
    const file = await DmaFile.open(`${folder}/source`);
    // A size that allocators reuse soon.
    const view = () => file.readAt(Math.floor(Math.random() * 900) * 4096, READ_SIZE);
    for (;;) {
      const reads = Array.from({ length: 64 }, view);
      busy();
      await Promise.all(reads);
    }
  },
  watch: async () => {
    // If another Worker's memory is reused, these buffers get it.
    const memory = Array.from(
      { length: 3000 },
      (_, index) => new Uint8Array(WATCHED_SIZE).fill(index % 127),
    );
    busy();
    await new Promise((resolve) => scope.onmessage = resolve);
    const changed = memory.filter((bytes, index) => bytes.some((byte) => byte !== index % 127));
    scope.postMessage(changed.length);
  },
  "nothing more": async (folder) => {
    const file = await DmaFile.create(`${folder}/${crypto.randomUUID()}`);
    await file.writable.write(content(0, 100_000));
    await file.writable.close();
    busy();
    scope.close();
  },
};

scope.onmessage = ({ data: { folder, what } }) => void works[what]!(folder);
