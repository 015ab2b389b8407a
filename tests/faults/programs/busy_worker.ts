// A Worker in the middle of things, for ever: it writes, reads and syncs with many operations in flight. Gets
// { folder, what } and answers "busy" when it is. It runs as a Worker of the Web and of Node.

import { parentPort } from "node:worker_threads";
import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import { content } from "../content.ts";

interface Orders {
  folder: string;
  what: "write" | "read" | "read at" | "open and close" | "watch" | "nothing more";
}

const READ_SIZE = 20_480;
/** What a read of that size would take of JavaScript's own memory. */
const WATCHED_SIZE = READ_SIZE + 4096;

/** What both kinds of Worker have to talk to who started them. */
const scope = (parentPort ?? self) as unknown as {
  onmessage: ((event: MessageEvent<Orders>) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
};

async function writeOn(path: string): Promise<void> {
  for (;;) {
    const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: 256 * 1024 });
    for (let at = 0; at < 20_000_000; at += 500_000) {
      await writer.write(content(at, 500_000));
      if (at % 4_000_000 === 0) writer.sync().catch(() => {});
      scope.postMessage("busy");
    }
    await writer.close();
  }
}

async function readOn(path: string): Promise<void> {
  for (;;) {
    for await (
      const _ of new DmaStreamReader(await DmaFile.open(path), { bufferSize: 256 * 1024 })
    ) {
      scope.postMessage("busy");
    }
  }
}

async function readAtOn(path: string): Promise<void> {
  const file = await DmaFile.open(path);
  // Of a size that allocators hand out again soon.
  const view = () => file.readAt(Math.floor(Math.random() * 900) * 4096, READ_SIZE);
  for (;;) {
    const reads = Array.from({ length: 64 }, view);
    scope.postMessage("busy");
    await Promise.all(reads);
  }
}

async function openAndCloseOn(path: string): Promise<void> {
  for (;;) {
    const files = await Promise.all(Array.from({ length: 100 }, () => DmaFile.open(path)));
    scope.postMessage("busy");
    await Promise.all(files.map((file) => file.close()));
  }
}

scope.onmessage = async ({ data: { folder, what } }: MessageEvent<Orders>) => {
  switch (what) {
    case "write":
      return await writeOn(`${folder}/${crypto.randomUUID()}`);
    case "read":
      return await readOn(`${folder}/source`);
    case "read at":
      return await readAtOn(`${folder}/source`);
    case "open and close":
      return await openAndCloseOn(`${folder}/source`);
    case "watch": {
      // Whatever memory another Worker had goes to these, if it goes to anybody.
      const memory = Array.from(
        { length: 3000 },
        (_, index) => new Uint8Array(WATCHED_SIZE).fill(index % 127),
      );
      scope.postMessage("busy");
      scope.onmessage = () => {
        const changed = memory.filter((bytes, index) => bytes.some((byte) => byte !== index % 127));
        scope.postMessage(changed.length);
      };
      return;
    }
    case "nothing more": {
      const file = await DmaFile.create(`${folder}/${crypto.randomUUID()}`);
      await file.writable.write(content(0, 100_000));
      await file.writable.close();
      scope.postMessage("busy");
      scope.close();
    }
  }
};
