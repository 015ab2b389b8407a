// The ways to close a file: as it is, published, or abandoned.

import { discardName, publish } from "./atomic.ts";
import type { OpenFile } from "./open_file.ts";

/** Closes a file that has no writer. An atomic file is synced and published first. */
export async function closeFile(file: OpenFile): Promise<void> {
  await file.descriptor.close(() => publishWhole(file)).finally(() => releaseName(file));
}

/** Closes a file that must not be published. Failures are ignored: the caller has a failure to report already. */
export async function giveUpFile(file: OpenFile): Promise<void> {
  await discardName(file);
  await file.descriptor.close().catch(() => {});
  releaseName(file);
}

/** Publishes an atomic file, unless it was dropped or a write of it has failed. */
async function publishWhole(file: OpenFile): Promise<void> {
  const { publication, dropped, durability: { failure } } = file;
  if (!publication) return;
  try {
    if (failure) throw failure.error;
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
