// The ways a file ends: closed, published and closed, or given up.

import { discardName, publish } from "./atomic.ts";
import type { OpenFile } from "./open_file.ts";

/** Closes a file that has no writer: syncs and publishes it where it is atomic. */
export async function closeFile(file: OpenFile): Promise<void> {
  await file.descriptor.close(() => publishWhole(file)).finally(() => releaseName(file));
}

/** Closes a file whose bytes are not worth a name. Its failures matter no more. */
export async function giveUpFile(file: OpenFile): Promise<void> {
  await discardName(file);
  await file.descriptor.close().catch(() => {});
  releaseName(file);
}

/** Publishes what is atomic, unless it was dropped or may have holes. */
async function publishWhole(file: OpenFile): Promise<void> {
  const { publication, spoiled, dropped } = file;
  if (!publication) return;
  try {
    if (spoiled) throw spoiled.error;
    if (dropped) return await discardName(file);
    const { descriptor, fd } = file;
    await descriptor.call("sync", { op: "sync", fd, dataOnly: false });
    await publish(file, publication);
  } catch (error) {
    await discardName(file);
    throw error;
  }
}

/** The directory is held as long as the file is open. */
function releaseName(file: OpenFile): void {
  file.name?.release();
  file.name = undefined;
}
