// Performs one step of a program.

import { askSize, closeFile, dropFile, lock, open, syncFile, unlock } from "./file_steps.ts";
import { remove, rename } from "./name_steps.ts";
import { act } from "./other_steps.ts";
import { crash } from "./program_end_steps.ts";
import { pipe } from "./pipe_steps.ts";
import {
  copy,
  deallocate,
  preallocate,
  readAt,
  readMany,
  truncate,
  writeAt,
} from "./range_steps.ts";
import { endReader, openReader, readStream, skip } from "./reader_steps.ts";
import { DIRECTORIES } from "../world.ts";
import type { Session, Slot } from "./session.ts";
import type { Action, Of, Step } from "./steps.ts";
import { endWriter } from "./writer_end_steps.ts";
import { flush, flushNow, openWriter, write, writeNonsense } from "./writer_steps.ts";

type Perform<Name extends Action["do"]> = (
  session: Session,
  slot: Slot,
  action: Of<Name>,
) => Promise<void> | void;

const all: { readonly [Name in Action["do"]]: Perform<Name> } = {
  create: open,
  open,
  temp: open,
  "close file": closeFile,
  "drop file": dropFile,
  rename,
  remove,
  "sync file": syncFile,
  size: askSize,
  lock,
  unlock,
  readAt,
  readMany,
  writeAt,
  truncate,
  preallocate,
  deallocate,
  copy,
  writer: openWriter,
  write,
  "write nonsense": writeNonsense,
  flush: (session, slot, action) => flush(session, slot, action, false),
  sync: (session, slot, action) => flush(session, slot, action, true),
  "flush now": flushNow,
  "end writer": endWriter,
  reader: openReader,
  read: readStream,
  skip,
  "end reader": endReader,
  pipe,
  "another process": (session, _, action) => act(session, action),
  "change directory": (session, _, { directory }) => {
    const { world } = session;
    session.directory = directory;
    const folder = DIRECTORIES[directory];
    return world.changeDirectory(folder === undefined ? world.root : `${world.root}/${folder}`);
  },
  crash,
  sleep: ({ world }, _, { microseconds }) => world.clock.sleep(microseconds),
  join() {},
};

/** Begins a step. Resolves when it is over; never rejects for anything that the module does. */
export function perform(session: Session, { slot, action }: Step): Promise<void> | void {
  return (all[action.do] as Perform<Action["do"]>)(session, session.slots[slot]!, action);
}
