// The kinds of steps: how often each is drawn, how its arguments are drawn, and how it is performed.

import type { DmaFile } from "../../../mod.ts";
import { Errno } from "../../../src/engine/linux.ts";
import { violate } from "../oracle/promises.ts";
import type { Random } from "../random.ts";
import type { Handle, OpenWriter, Over, Slot } from "./session.ts";

/** Draws the arguments. A program has `slots` places for files. */
type Draw<Args> = (random: Random, slots: number) => Args;

/** Begins a step. Resolves when it has ended, and does not reject if a call of the module fails. */
export type Perform<Args> = (slot: Slot, args: Args) => Over;

type OnFile<Args> = (handle: Handle, args: Args, slot: Slot) => Over;

/** A kind of step with its arguments, which can be printed, dropped and repeated. */
export function step<Args>(weight: number, draw: Draw<Args>, perform: Perform<Args>) {
  return { weight, draw, perform };
}

/** A step that does nothing if the slot has no file. */
export function onFile<Args>(weight: number, draw: Draw<Args>, take: OnFile<Args>) {
  return step(weight, draw, (slot, args) => slot.handle && take(slot.handle, args, slot));
}

/** A step that does nothing if the slot has no open writer. */
export function onWriter<Args>(
  weight: number,
  draw: Draw<Args>,
  take: (writer: OpenWriter, args: Args) => Over,
) {
  return step(weight, draw, ({ writer }, args) => {
    if (writer && !writer.oracle.end) return take(writer, args);
  });
}

/**
 * A step that does nothing while it is not allowed on a file. `refused` is the same call on a file without the right:
 * "rights" says that it is rejected if the file was not opened for it, or was sealed.
 */
function needing(right: "readable" | "writable", allowed: "readable" | "isChangeable") {
  return <Args>(
    weight: number,
    draw: Draw<Args>,
    take: OnFile<Args>,
    refused: (file: DmaFile) => Promise<unknown>,
  ) =>
    onFile(weight, draw, (handle, args, slot) => {
      if (handle[allowed]) return take(handle, args, slot);
      if (handle[right]) return;
      return handle.call("a call without the right", refused(handle.file), {
        errnos: [Errno.EBADF],
        done: () => violate("rights", "it is done to a file that was not opened for it"),
      });
    });
}

/** Steps that read, and steps that change a file. */
export const reading = needing("readable", "readable");
export const changing = needing("writable", "isChangeable");

export const nothing = () => ({});

export const NAMES: readonly string[] = ["one", "two", "three"];
const EDGES = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8192, 12_288, 65_536];
export const SIZES_OF_BUFFERS = [0, 512, 4096, 5000, 12_288, 65_536];

export function size(random: Random): number {
  return random.weighted([
    [3, () => random.pick(EDGES)],
    [4, () => random.below(300)],
    [4, () => random.below(5000)],
    [2, () => random.below(30_000)],
    [0.02, () => random.below(2_000_000)],
  ])();
}

export function place(random: Random): number {
  return random.weighted([
    [4, () => random.pick(EDGES)],
    [2, () => random.below(20)],
    [2, () => random.below(5000)],
    [2, () => random.below(40_000)],
    [0.2, () => 2 ** 33 + random.below(10_000)],
  ])();
}

/** A name of a file: the directory's index, the name in it, and whether the path is relative to the working directory. */
export function path(random: Random) {
  return { directory: random.below(2), name: random.pick(NAMES), relative: random.chance(0.3) };
}

export type Path = ReturnType<typeof path>;
