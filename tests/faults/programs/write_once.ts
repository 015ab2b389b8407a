// Writes one file in one way, says how far it is promised, and holds still until its input ends. CASE FOLDER
import { DmaFile, DmaStreamWriter } from "../../../mod.ts";
import { content } from "../content.ts";
import { lengths, type Once } from "../written.ts";

const [what, folder = ""] = Deno.args as [Once, string];
const path = `${folder}/file`;
const { before, after } = lengths[what];

async function write(file: DmaFile, start: number, options = {}): Promise<DmaStreamWriter> {
  const writer = new DmaStreamWriter(file, { bufferSize: 16 * 1024, ...options });
  for (let at = start; at < after; at += 7001) {
    await writer.write(content(at, Math.min(7001, after - at), 1));
  }
  return writer;
}

switch (what) {
  case "close":
    await (await write(await DmaFile.create(path), 0)).close();
    break;
  case "replace":
  case "appear":
    await (await write(await DmaFile.create(path, { atomic: true }), 0)).close();
    break;
  case "append": {
    const file = await DmaFile.open(path, { write: true });
    await (await write(file, before, { append: true })).close();
    break;
  }
  case "true append":
    await (await write(await DmaFile.open(path, { append: true }), before)).close();
    break;
  case "seal":
    await (await write(await DmaFile.create(path), 0)).seal();
    break;
  case "sync":
    await (await write(await DmaFile.create(path), 0)).sync({ tail: true });
    break;
  case "sync of a log": {
    const file = await DmaFile.open(path, { write: true });
    await (await write(file, before, { append: true })).sync({ tail: true });
    break;
  }
  case "later sync of a log": {
    const file = await DmaFile.open(path, { write: true });
    const writer = new DmaStreamWriter(file, { append: true });
    // The last record is in the block of the one before: it is durable by its own write.
    for (const end of [50_000, 55_555, after - 50, after]) {
      const start = writer.currentPos;
      await writer.write(content(start, end - start, 1));
      await writer.sync({ tail: true });
    }
    break;
  }
  case "sync of a true append":
    await (await write(await DmaFile.open(path, { append: true }), before)).sync({ tail: true });
    break;
  case "sync of a file": {
    const file = await DmaFile.create(path);
    await file.writeAt(content(0, after, 1), 0);
    await file.sync();
    break;
  }
}
if (what === "end") {
  // Nothing is closed. What is promised has happened when a program comes to this event.
  await write(await DmaFile.create(path), 0);
  addEventListener("unload", () => {
    console.log("promised");
    Deno.stdin.readSync(new Uint8Array(1));
  });
} else {
  console.log("promised");
  await Deno.stdin.read(new Uint8Array(1));
  Deno.exit(0);
}
