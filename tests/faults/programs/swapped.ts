// Opens, makes, renames and removes files while another program swaps their names. CASE INSIDE TRIES
// Prints how often that went well, and how often it was refused.
import { DmaFile } from "../../../mod.ts";

const [name = "", inside = "", tries = "0"] = Deno.args;

/** The bytes of every file inside. */
const INSIDE = 7;

function check(bytes: Uint8Array): void {
  if (!bytes.every((byte) => byte === INSIDE)) throw new Error("Bytes from outside");
}

async function write(file: DmaFile): Promise<void> {
  const buffer = file.allocBuffer(1);
  buffer.bytes.fill(INSIDE);
  await file.writeAt(buffer, 0);
}

const cases: Record<string, (index: number) => Promise<void>> = {
  read: async () => {
    await using file = await DmaFile.open(`${inside}/link`);
    check(await file.readAt(0, 100));
  },
  empty: async () => {
    await using file = await DmaFile.create(`${inside}/link`);
    await write(file);
  },
  make: async (index) => {
    await using file = await DmaFile.create(`${inside}/folder/new ${index}`);
    await write(file);
  },
  atomic: async (index) => {
    const file = await DmaFile.create(`${inside}/folder/atomic ${index}`, { atomic: true });
    await write(file);
    await file.close();
  },
  replaced: async () => {
    await Deno.remove(`${inside}/file`).catch(() => {});
    const file = await DmaFile.create(`${inside}/file`);
    await file.remove().catch(() => {});
    await file.close();
  },
  rename: async (index) => {
    await using file = await DmaFile.create(`${inside}/source`);
    await file.rename(`${inside}/folder/renamed ${index}`);
  },
  remove: async () => {
    await using file = await DmaFile.create(`${inside}/folder/secret`);
    await file.remove();
  },
};

let done = 0;
const refused: Record<string, number> = {};
for (let index = 0; index < Number(tries); index++) {
  try {
    await cases[name]!(index);
    done++;
  } catch (error) {
    const { name: kind, message } = error as Error;
    if (message === "Bytes from outside") throw error;
    refused[kind] = (refused[kind] ?? 0) + 1;
  }
}
console.log(JSON.stringify({ done, refused }));
