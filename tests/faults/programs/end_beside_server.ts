// Writes to a file whose server hangs from the first byte of the input on, ends, and reports when its listeners have
// run. The program has another file that is not on the server. FILE OTHER_FILE
import { configure, DmaFile, DmaStreamWriter } from "../../../mod.ts";
import { pattern } from "../../support/bytes.ts";

const [path = "", otherPath = ""] = Deno.args;
// Long enough for the other file on a busy machine.
configure({ exitTimeout: 5000 });
// More writes than concurrent calls.
const options = { bufferSize: 4096, writeBehind: 32 };
const writer = new DmaStreamWriter(await DmaFile.create(path), options);
await writer.write(pattern(4096));
await writer.flushAligned();
// Its temporary name must be removed.
await DmaFile.create(`${path}-atomic`, { atomic: true });
const other = new DmaStreamWriter(await DmaFile.create(otherPath));
addEventListener("unload", () => console.log("over"));
console.log("ready");
await Deno.stdin.read(new Uint8Array(1));
await writer.write(pattern(32 * 4096, 4096));
await other.write(pattern(3_000_001));
Deno.exit();
