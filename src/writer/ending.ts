// The endings of a writer, as steps. Each runs with nothing else in flight, and reads the file's state when it runs.

import { cutToContent } from "../file/cut.ts";
import type { OpenFile } from "../file/open_file.ts";

/** Returns undefined if there is nothing to wait for. */
export type Step = () => Promise<unknown> | undefined;

export interface WriterFailure {
  /** The first failure, or the reason of an abort. Every later call rejects with it. */
  readonly reason: unknown;
  /** Whether a caller has aborted the writer, or closed its file. */
  readonly fromOutside: boolean;
  /** The failure of the cut to the flushed prefix. */
  cutError: unknown;
}

/** What happens to the file after a close of its writer. A sealed file is complete, and stays open. */
export type Fate = "leave" | "seal" | "close";

export function stepsOfClose(file: OpenFile, fate: Fate, sync: Step): Step[] {
  return [
    () => cutToContent(file),
    sync,
    // An atomic file that stays open for more writers is published when it is closed.
    () => fate !== "leave" && file.naming.isUnpublished ? file.publish() : undefined,
    () => {
      if (fate === "seal") file.sealed = true;
      file.detach();
      return fate === "close" ? file.close() : undefined;
    },
  ];
}

/** The steps after a failure, with `confirm` first. A writer that never opened has none, and has extended nothing. */
export function stepsAfterFailure(
  file: OpenFile,
  failure: WriterFailure,
  closes: boolean,
  confirm?: Step,
): Step[] {
  const cut = () => cutToContent(file)?.catch((error) => failure.cutError = error);
  const leave = () => {
    file.detach();
    return closes || file.dropped ? file.close().catch(() => {}) : undefined;
  };
  return [...confirm ? [confirm, cut] : [], () => file.naming.discard(), leave];
}
