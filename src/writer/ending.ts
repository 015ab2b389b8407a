// How a writer ends, as lists of steps. Each step looks at the file when its turn comes.

import { assert } from "../assert.ts";
import { discardName, publish } from "../file/atomic.ts";
import { closeFile, giveUpFile } from "../file/close.ts";
import { cutToContent, exceedsContent } from "../file/cut.ts";
import type { OpenFile } from "../file/open_file.ts";
import type { SyncQueue } from "./sync_queue.ts";
import type { WriteBehind } from "./write_behind.ts";
import type { WriteQueue } from "./write_queue.ts";
import type { WriterOptions } from "./writer_options.ts";

/** One step. Returns undefined if there is nothing to wait for. */
export type Step = () => Promise<unknown> | undefined;

/** Why a writer failed. */
export interface WriterFailure {
  /** Every later call rejects with it: the first failure, or the reason of an abort. */
  readonly reason: unknown;
  /** Whether it was aborted from outside, and did not fail by itself. */
  readonly aborted: boolean;
  /** Why the file could not be cut to what is whole. */
  cutError?: unknown;
}

/** The steps of a close when everything is in the file. With `keepOpen` the file stays open, whatever the options say. */
export function stepsOfClose(
  file: OpenFile,
  { closeFile: closes, syncOnClose }: WriterOptions,
  keepOpen: boolean,
  syncs: SyncQueue,
  queue: WriteQueue,
): Step[] {
  const sync = () => {
    const wanted = syncOnClose || file.publication !== undefined;
    // A file that nobody has changed is closed as it is.
    const isChanged = file.durability.unsynced || file.nameIsVolatile;
    return wanted && isChanged ? syncs.run(queue) : undefined;
  };
  // An atomic file that stays open for more writers is published when it is closed.
  const publishes = () => closes || keepOpen ? publishWhole(file) : undefined;
  const leave = () => {
    detach(file);
    return closes && !keepOpen ? closeFile(file) : undefined;
  };
  return [() => cut(file), sync, publishes, leave];
}

/**
 * The steps after a failure. A writer that never opened has no `writes`: it has extended nothing, and does not know what
 * others did.
 */
export function stepsAfterFailure(
  file: OpenFile,
  { closeFile: closes }: WriterOptions,
  writes: WriteBehind | undefined,
  failure: WriterFailure,
): Step[] {
  const cutWhole = () => writes ? cut(file)?.catch((error) => failure.cutError = error) : undefined;
  const leave = () => {
    detach(file);
    return closes || file.dropped ? giveUpFile(file) : undefined;
  };
  return [() => writes?.confirmRest(), cutWhole, () => discardName(file), leave];
}

function cut(file: OpenFile): Promise<void> | undefined {
  return exceedsContent(file) ? cutToContent(file) : undefined;
}

function publishWhole(file: OpenFile): Promise<void> | undefined {
  const { publication, durability: { failure } } = file;
  if (!publication) return undefined;
  return failure ? Promise.reject(failure.error) : publish(file, publication);
}

function detach(file: OpenFile): void {
  assert(file.writer !== undefined, "a writer leaves its file once");
  file.writer = undefined;
  file.descriptor.release();
}
