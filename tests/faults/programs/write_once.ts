// Writes one file in one way, prints the promised position, and waits until its input ends. WAY FOLDER
import { DmaFile, DmaStreamWriter, type DmaStreamWriterOptions } from "../../../mod.ts";
import { content } from "../content.ts";
import { lengths, type Once } from "../written.ts";

const [what, folder = ""] = Deno.args as [Once, string];
const path = `${folder}/file`;
const { before, after } = lengths[what];
const start = what === "replace" ? 0 : before;

async function write(
  opening: Promise<DmaFile>,
  options?: DmaStreamWriterOptions,
): Promise<DmaStreamWriter> {
  const writer = new DmaStreamWriter(await opening, { bufferSize: 16 * 1024, ...options });
  for (let at = start; at < after; at += 7001) {
    await writer.write(content(at, Math.min(7001, after - at), 1));
  }
  return writer;
}

const create = () => DmaFile.create(path);
const replace = () => DmaFile.create(path, { atomic: true });
const append = () => DmaFile.open(path, { append: true });
const writable = () => DmaFile.open(path, { write: true });
const tail = { tail: true };

const ways: Record<Once, () => Promise<unknown>> = {
  close: async () => await (await write(create())).close(),
  appear: async () => await (await write(replace())).close(),
  replace: async () => await (await write(replace())).close(),
  append: async () => await (await write(writable(), { append: true })).close(),
  "true append": async () => await (await write(append())).close(),
  seal: async () => await (await write(create())).seal(),
  sync: async () => await (await write(create())).sync(tail),
  "sync of a log": async () => await (await write(writable(), { append: true })).sync(tail),
  "later sync of a log": async () => {
    const writer = new DmaStreamWriter(await writable(), { append: true });
    // The last record is in the same block as the one before, and its write alone makes it durable.
    for (const end of [50_000, 55_555, after - 50, after]) {
      const start = writer.currentPos;
      await writer.write(content(start, end - start, 1));
      await writer.sync(tail);
    }
  },
  "sync of a true append": async () => await (await write(append())).sync(tail),
  "sync of a file": async () => {
    const file = await create();
    await file.writeAt(content(0, after, 1), 0);
    await file.sync();
  },
  end: () => write(create()),
};

await ways[what]();
if (what === "end") {
  // Nothing is closed. The promise holds when a program reaches this event.
  addEventListener("unload", () => {
    console.log("promised");
    Deno.stdin.readSync(new Uint8Array(1));
  });
} else {
  console.log("promised");
  await Deno.stdin.read(new Uint8Array(1));
  Deno.exit(0);
}
