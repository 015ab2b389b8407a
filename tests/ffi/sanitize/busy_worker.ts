// A Worker that writes, reads and syncs without end, with many operations in flight. It gets { folder, what } and
// answers "busy" when it has begun.

import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import { content } from "../../faults/content.ts";

const scope = self as unknown as {
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
    const view = () => file.readAt(Math.floor(Math.random() * 900) * 4096, 20_480);
    for (;;) {
      const reads = Array.from({ length: 64 }, view);
      busy();
      await Promise.all(reads);
    }
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
