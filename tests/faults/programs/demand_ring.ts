// Demands io_uring and says what comes of it. FILE
import { configure, DmaFile } from "../../../mod.ts";

const [path = ""] = Deno.args;
configure({ engine: "io_uring" });
let error = "";
try {
  await DmaFile.create(path);
} catch (reason) {
  error = String(reason);
}
const exists = await Deno.stat(path).then(() => true, () => false);
console.log(JSON.stringify({ error, exists }));
