// Performs one step of a program.

import type { DmaFile } from "../../../mod.ts";
import { Errno } from "../../../src/engine/linux.ts";
import { Violation } from "../oracle/promises.ts";
import { askSize, closeFile, dropFile, open, syncFile } from "./file_steps.ts";
import { remove, rename } from "./name_steps.ts";
import { act } from "./other_steps.ts";
import { crash } from "./program_end_steps.ts";
import { pipe } from "./pipe_steps.ts";
import {
  copy,
  deallocate,
  isChangeable,
  preallocate,
  readAt,
  readMany,
  truncate,
  writeAt,
} from "./range_steps.ts";
import { endReader, openReader, readStream, skip } from "./reader_steps.ts";
import { DIRECTORIES } from "../world.ts";
import type { Handle, Over, Session, Slot } from "./session.ts";
import type { Action, Of, Step } from "./steps.ts";
import { endWriter } from "./writer_end_steps.ts";
import { flush, flushNow, openWriter, write, writeNonsense } from "./writer_steps.ts";

type Perform<Chosen> = (session: Session, slot: Slot, action: Chosen) => Over;

/** A step on the file of a slot. */
type PerformOnFile<Chosen> = (
  session: Session,
  handle: Handle,
  action: Chosen,
  slot: Slot,
) => Over;

/** Does nothing if the slot has no file. */
function onFile<Chosen>(take: PerformOnFile<Chosen>): Perform<Chosen> {
  return (session, slot, action) => slot.handle && take(session, slot.handle, action, slot);
}

/** A step that reads. `refused` performs it on a file that cannot be read. */
function reading<Chosen>(take: PerformOnFile<Chosen>, refused: Refused<Chosen>): Perform<Chosen> {
  return onFile((session, handle, action, slot) =>
    handle.readable
      ? take(session, handle, action, slot)
      : refuse(session, handle, refused(handle.file, action))
  );
}

/** A step that changes a file. `refused` performs it on a file that cannot be written. */
function changing<Chosen>(take: PerformOnFile<Chosen>, refused: Refused<Chosen>): Perform<Chosen> {
  return onFile((session, handle, action, slot) => {
    if (isChangeable(session, handle)) return take(session, handle, action, slot);
    if (!handle.writable) return refuse(session, handle, refused(handle.file, action));
  });
}

type Refused<Chosen> = (file: DmaFile, action: Chosen) => Promise<unknown>;

/** "rights": a call is rejected if the file was not opened for it, or was sealed. */
function refuse(session: Session, handle: Handle, promise: Promise<unknown>): Promise<void> {
  return session.call({
    name: "a call without the right",
    promise,
    handle,
    errnos: [Errno.EBADF],
    done: () => {
      throw new Violation("rights", "it is done to a file that was not opened for it");
    },
  });
}

const all: { readonly [Name in Action["do"]]: Perform<Of<Name>> } = {
  create: open,
  open,
  temp: open,
  "close file": onFile(closeFile),
  "drop file": onFile(dropFile),
  rename: onFile(rename),
  remove: onFile(remove),
  "sync file": onFile(syncFile),
  size: onFile(askSize),
  // A call that waits for a lock may wait until the end of the program.
  lock: onFile((session, handle, { exclusive }) =>
    session.call({ name: "tryLock", promise: handle.file.tryLock(exclusive), handle })
  ),
  unlock: onFile((session, handle) =>
    session.call({ name: "unlock", promise: handle.file.unlock(), handle })
  ),
  readAt: reading(readAt, (file) => file.readAt(0, 100)),
  readMany: reading(
    readMany,
    (file) => Array.fromAsync(file.readMany([{ position: 0, length: 1 }])),
  ),
  writeAt: changing(writeAt, (file) => file.writeAt(new Uint8Array(file.alignment.offset), 0)),
  truncate: changing(truncate, (file) => file.truncate()),
  preallocate: changing(preallocate, (file, { length }) => file.preallocate(length)),
  deallocate: changing(deallocate, (file) => file.deallocate(0, 1)),
  copy: onFile(copy),
  writer: onFile(openWriter),
  write,
  "write nonsense": writeNonsense,
  flush: (session, slot, action) => flush(session, slot, action, false),
  sync: (session, slot, action) => flush(session, slot, action, true),
  "flush now": flushNow,
  "end writer": endWriter,
  reader: onFile(openReader),
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

/** Begins a step. Resolves when it has ended, and does not reject if a call of the module fails. */
export function perform(session: Session, { slot, action }: Step): Over {
  return (all[action.do] as Perform<Action>)(session, session.slots[slot]!, action);
}
