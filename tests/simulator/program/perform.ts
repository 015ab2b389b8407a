// Performs one step of a program.

import { askSize, closeFile, dropFile, lock, open, syncFile, unlock } from "./file_steps.ts";
import { remove, rename } from "./name_steps.ts";
import { act } from "./other_steps.ts";
import { crash } from "./program_end_steps.ts";
import { pipe } from "./pipe_steps.ts";
import * as ranges from "./range_steps.ts";
import { endReader, openReader, readStream, skip } from "./reader_steps.ts";
import type { Session } from "./session.ts";
import type { Step } from "./steps.ts";
import { endWriter } from "./writer_end_steps.ts";
import { flush, flushNow, openWriter, sync, write, writeNonsense } from "./writer_steps.ts";

/** Begins a step. Resolves when it is over; never rejects for anything that the module does. */
export function perform(session: Session, { slot: index, action }: Step): Promise<void> | void {
  const slot = session.slots[index]!;
  switch (action.do) {
    case "create":
    case "open":
    case "temp":
      return open(session, slot, action);
    case "close file":
      return closeFile(session, slot);
    case "drop file":
      return dropFile(session, slot);
    case "rename":
      return rename(session, slot, action);
    case "remove":
      return remove(session, slot);
    case "sync file":
      return syncFile(session, slot, action);
    case "size":
      return askSize(session, slot);
    case "lock":
      return lock(session, slot, action);
    case "unlock":
      return unlock(session, slot);
    case "readAt":
      return ranges.readAt(session, slot, action);
    case "readMany":
      return ranges.readMany(session, slot, action);
    case "writeAt":
      return ranges.writeAt(session, slot, action);
    case "truncate":
      return ranges.truncate(session, slot, action);
    case "preallocate":
      return ranges.preallocate(session, slot, action);
    case "deallocate":
      return ranges.deallocate(session, slot, action);
    case "copy":
      return ranges.copy(session, slot, action);
    case "writer":
      return openWriter(session, slot, action);
    case "write":
      return write(session, slot, action);
    case "write nonsense":
      return writeNonsense(session, slot);
    case "flush":
      return flush(session, slot, action);
    case "sync":
      return sync(session, slot, action);
    case "flush now":
      return flushNow(session, slot, action);
    case "end writer":
      return endWriter(session, slot, action.how);
    case "reader":
      return openReader(session, slot, action);
    case "read":
      return readStream(session, slot, action);
    case "skip":
      return skip(session, slot, action);
    case "end reader":
      return endReader(session, slot, action);
    case "pipe":
      return pipe(session, slot, action);
    case "another process":
      return act(session, action);
    case "change directory": {
      const { world } = session;
      session.directory = action.directory;
      const folder = world.directories[action.directory];
      return world.changeDirectory(folder === undefined ? world.root : `${world.root}/${folder}`);
    }
    case "crash":
      return crash(session);
    case "sleep":
      return session.world.sleep(action.microseconds);
    case "join":
      return;
  }
}
