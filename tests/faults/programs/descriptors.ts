// Opens files until there are no free descriptors, twice. SPARE descriptors may be opened in addition. FOLDER SPARE
import { type DmaError, DmaFile } from "../../../mod.ts";

const [folder = "", spare = "0"] = Deno.args;
// Deno needs some descriptors for signals, and panics without them.
Deno.addSignalListener("SIGUSR2", () => {});
const limit = [...Deno.readDirSync("/proc/self/fd")].length + Number(spare);
const args = ["--pid", String(Deno.pid), `--nofile=${limit}:${limit}`];
if (!new Deno.Command("prlimit", { args }).outputSync().success) throw new Error("No limit");

/** Opens files until that fails, and closes them again. */
async function openAll(): Promise<{ opened: number; failure?: DmaError }> {
  await using files = new AsyncDisposableStack();
  for (let opened = 0; opened < 200; opened++) {
    try {
      files.use(await DmaFile.create(`${folder}/${opened}`));
    } catch (error) {
      return { opened, failure: error as DmaError };
    }
  }
  return { opened: 200 };
}

const { opened, failure } = await openAll();
// All descriptors are released, so as many can be opened again.
const { opened: again } = await openAll();
const { code, op, path } = failure ?? {};
console.log(JSON.stringify({ opened, again, failed: failure !== undefined, code, op, path }));
Deno.exit();
