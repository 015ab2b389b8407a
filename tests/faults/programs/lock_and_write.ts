// Takes the lock of a file, writes to it, and says so while the writes are in flight. Then it waits for its end. PATH

import { DmaFile } from "../../../mod.ts";
import { pause } from "../../setup/command.ts";

const file = await DmaFile.open(Deno.args[0]!, { write: true });
await file.lock(true);
const PIECE = 1 << 16;
for (let position = 0; position < 4 * PIECE; position += PIECE) {
  const buffer = file.allocBuffer(PIECE);
  buffer.bytes.fill(1);
  file.writeAt(buffer, position).catch(() => {});
}
await pause(20);
console.log("in flight");
await pause(100_000);
