// A job of jobs.ts: opens, creates, renames and removes files while another program swaps their names.

import { DmaFile } from "../../../mod.ts";

let inside = "";

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

/** Creates a file, runs an operation on it, and closes it. */
async function make(
  path: string,
  work: (file: DmaFile) => Promise<void>,
  atomic = false,
): Promise<void> {
  await using file = await DmaFile.create(`${inside}/${path}`, { atomic });
  await work(file);
}

const cases: Record<string, (index: number) => Promise<void>> = {
  read: async () => {
    await using file = await DmaFile.open(`${inside}/link`);
    check(await file.readAt(0, 100));
  },
  empty: () => make("link", write),
  make: (index) => make(`folder/new ${index}`, write),
  atomic: (index) => make(`folder/atomic ${index}`, write, true),
  replaced: async () => {
    await Deno.remove(`${inside}/file`).catch(() => {});
    await make("file", (file) => file.remove().catch(() => {}));
  },
  rename: (index) => make("source", (file) => file.rename(`${inside}/folder/renamed ${index}`)),
  remove: () => make("folder/secret", (file) => file.remove()),
};

/** Tells how often one of the cases went well, and how often it was refused with which error. */
export async function swapped(name: string, directory: string, tries: string) {
  inside = directory;
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
  return { done, refused };
}
