// The phases of a writer, and how it ends, as lists of steps. Each step looks at the file when its turn comes.

import { assert } from "../assert.ts";
import { cutToContent } from "../file/cut.ts";
import type { OpenFile } from "../file/open_file.ts";

/** One step. Returns undefined if there is nothing to wait for. */
export type Step = () => Promise<unknown> | undefined;

/** Everything is in the file, or the writer has failed. The steps run one after the other, each when nothing else is under way. */
export type Ending = { readonly name: "committing" | "failing"; readonly steps: Step[] };

/** What a writer is doing. It is opening until it knows where it starts, and draining when a close has begun. */
export type Phase =
  | { readonly name: "opening" | "open" | "draining" | "closed" | "failed" }
  | Ending;

export function closedError(op: string): TypeError {
  return new TypeError(`Cannot ${op} a stream that is closed`);
}

/** Why a writer failed. */
export interface WriterFailure {
  /** Every later call rejects with it: the first failure, or the reason of an abort. */
  readonly reason: unknown;
  /** Whether it was aborted from outside, and did not fail by itself. */
  readonly aborted: boolean;
  /** Why the file could not be cut to what is whole. */
  cutError: unknown;
}

/** What becomes of a file after a close of its writer. A sealed one is whole, and stays open. */
export type Fate = "leave" | "seal" | "close";

export function stepsOfClose(file: OpenFile, fate: Fate, sync: Step): Step[] {
  return [
    () => cutToContent(file),
    sync,
    // An atomic file that stays open for more writers is published when it is closed.
    () => fate === "leave" ? undefined : publishWhole(file),
    () => {
      detach(file);
      return fate === "close" ? file.close() : undefined;
    },
  ];
}

/**
 * The steps after a failure, which begin with `confirm`. A writer that never opened has none: it has extended nothing, and
 * does not know what others did.
 */
export function stepsAfterFailure(
  file: OpenFile,
  failure: WriterFailure,
  closes: boolean,
  confirm?: Step,
): Step[] {
  const cut = () => cutToContent(file)?.catch((error) => failure.cutError = error);
  const leave = () => {
    detach(file);
    return closes || file.dropped ? file.giveUp() : undefined;
  };
  return [...confirm ? [confirm, cut] : [], () => file.naming.discard(), leave];
}

function publishWhole(file: OpenFile): Promise<void> | undefined {
  const { naming, durability: { failure } } = file;
  if (!naming.isUnpublished) return undefined;
  return failure ? Promise.reject(failure.error) : naming.publish();
}

function detach(file: OpenFile): void {
  assert(file.writer !== undefined, "a writer leaves its file once");
  file.writer = undefined;
  file.descriptor.release();
}
