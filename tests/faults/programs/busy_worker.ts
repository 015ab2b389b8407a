// A Worker in the middle of things, for ever: it writes, reads and syncs with many operations in flight. Gets
// { folder, what } and answers "busy" when it is.

import { DmaFile, DmaStreamReader, DmaStreamWriter } from "../../../mod.ts";
import { content } from "../content.ts";

interface Orders {
  folder: string;
  what: "write" | "read" | "read at" | "nothing more";
}

async function writeOn(path: string): Promise<void> {
  for (;;) {
    const writer = new DmaStreamWriter(await DmaFile.create(path), { bufferSize: 256 * 1024 });
    for (let at = 0; at < 20_000_000; at += 500_000) {
      await writer.write(content(at, 500_000));
      if (at % 4_000_000 === 0) writer.sync().catch(() => {});
      postMessage("busy");
    }
    await writer.close();
  }
}

async function readOn(path: string): Promise<void> {
  for (;;) {
    for await (const _ of new DmaStreamReader(await DmaFile.open(path), { bufferSize: 256 * 1024 })) {
      postMessage("busy");
    }
  }
}

async function readAtOn(path: string): Promise<void> {
  const file = await DmaFile.open(path);
  const view = () => file.readAt(Math.floor(Math.random() * 100) * 4096, 300_000);
  for (;;) {
    const reads = Array.from({ length: 16 }, view);
    postMessage("busy");
    await Promise.all(reads);
  }
}

self.onmessage = async ({ data: { folder, what } }: MessageEvent<Orders>) => {
  switch (what) {
    case "write":
      return await writeOn(`${folder}/${crypto.randomUUID()}`);
    case "read":
      return await readOn(`${folder}/source`);
    case "read at":
      return await readAtOn(`${folder}/source`);
    case "nothing more": {
      const file = await DmaFile.create(`${folder}/${crypto.randomUUID()}`);
      await file.writable.write(content(0, 100_000));
      await file.writable.close();
      postMessage("busy");
      self.close();
    }
  }
};
