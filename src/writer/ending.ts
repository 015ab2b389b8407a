// The phases of a writer, and how it ends, as lists of steps. Each step looks at the file when its turn comes.

import { assert } from "../assert.ts";
import { discardName, publish } from "../file/atomic.ts";
import { closeFile, giveUpFile } from "../file/close.ts";
import { cutToContent } from "../file/cut.ts";
import type { OpenFile } from "../file/open_file.ts";

/** One step. Returns undefined if there is nothing to wait for. */
export type Step = () => Promise<unknown> | undefined;

/** A phase in which steps run one after the other, each when nothing else is under way. */
export type Ending<Name = "committing" | "failing"> = {
  readonly name: Name;
  readonly steps: Step[];
};

/** What a writer is doing. */
export type Phase =
  /** Where it starts is being determined. */
  | { readonly name: "opening" }
  | { readonly name: "open" }
  /** A close has begun: what was accepted is being written. */
  | { readonly name: "draining" }
  /** Everything is in the file. */
  | Ending<"committing">
  /** After a failure or an abort. */
  | Ending<"failing">
  | { readonly name: "closed" }
  | { readonly name: "failed" };

/** The error of a call on a stream that was closed. */
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
  cutError?: unknown;
}

/** What becomes of a file when its writer has ended without a failure: it is left as it is, or whole but open, or closed. */
export type Fate = "leave" | "seal" | "close";

/** The steps of a close when everything is in the file. */
export function stepsOfClose(file: OpenFile, fate: Fate, sync: Step): Step[] {
  return [
    () => cutToContent(file),
    sync,
    // An atomic file that stays open for more writers is published when it is closed.
    () => fate === "leave" ? undefined : publishWhole(file),
    () => {
      detach(file);
      return fate === "close" ? closeFile(file) : undefined;
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
    return closes || file.dropped ? giveUpFile(file) : undefined;
  };
  return [...confirm ? [confirm, cut] : [], () => discardName(file), leave];
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
