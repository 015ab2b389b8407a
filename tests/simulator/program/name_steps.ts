// Steps that give a file its name, another one, or none.

import { Errno } from "../../../src/engine/linux.ts";
import type { NameChange, Occupant, Place } from "../oracle/expected_names.ts";
import { Violation } from "../oracle/promises.ts";
import type { Handle, Over, Session } from "./session.ts";
import type { Of } from "./steps.ts";

/** Bytes for the answer of the system when it is asked what it swaps to. */
export const ASKED = 4096;

/** Whether nobody else is about to change the name that an atomic file gets. */
export function mayPublish({ oracle }: Session, { target }: Handle): boolean {
  return target === undefined || oracle.names.begunAt(target) !== undefined;
}

/** An atomic file is about to get its name. The result is to be told whether it did. */
export function publish(session: Session, handle: Handle): (succeeded: boolean) => void {
  const { oracle, world } = session;
  const place = handle.target!;
  const { inode } = handle.tracked.view;
  const naming = oracle.names.begin(place, inode);
  const { renames } = handle;
  return (succeeded) => {
    const now = world.listing().get(place);
    naming.settled(now);
    if (!succeeded) return;
    session.unhide(handle);
    handle.target = undefined;
    if (renames % 2 === 1 || handle.renames !== renames) return;
    if (now !== inode) throw new Violation("atomic", `${place} is not the file that was closed`);
    handle.tracked.namer = handle.file;
    session.promiseName(handle, { place, renames });
  };
}

/** Renames a file, or what an atomic one will be called. */
export function rename(session: Session, handle: Handle, { path }: Of<"rename">): Over {
  if (handle.closing || handle.renames % 2 === 1) return;
  const { world, oracle } = session;
  const text = session.path(path);
  const to = world.placeOf(text)!;
  if (oracle.names.begunAt(to) === undefined) return;
  const from = session.placeOf(handle);
  // Between the look at a name and its rename another file may come there: the kernel has no way to rename a file.
  if (from !== undefined && oracle.names.begunAt(from) === undefined) return;
  const { inode } = handle.tracked.view;
  // What is being published gets the new name then.
  const isPublished = !mayPublish(session, handle);
  const changes: [Place, NameChange][] = [];
  const begin = (place: Place, occupant: Occupant) =>
    changes.push([place, oracle.names.begin(place, occupant)]);
  // An atomic file may get its name meanwhile, and then another one.
  if (from !== undefined) begin(from, undefined);
  if (handle.target !== undefined) begin(handle.target, undefined);
  begin(to, inode);
  handle.renames++;
  const over = () => {
    handle.renames++;
    const listing = world.listing();
    for (const [place, change] of changes) {
      if (isPublished) change.settled();
      else change.settled(listing.get(place));
    }
  };
  return session.call({
    name: "rename",
    promise: handle.file.rename(text),
    memory: ASKED,
    handle,
    errnos: [Errno.ENOENT],
    over,
    done: () => {
      if (handle.target !== undefined) handle.target = to;
      else if (from !== undefined) {
        handle.tracked.namer = handle.file;
        // Whoever else has the file open knows it by its old name.
        const isKnown = session.slots.some((each) =>
          each.opening || (each.handle !== handle && each.handle?.tracked === handle.tracked)
        );
        if (isKnown) session.movedByOthers = true;
        if (world.listing().get(to) === inode) return;
        throw new Violation("file of the call", `${to} is not the file that was renamed`);
      }
    },
  });
}

/** Removes the name of a file. */
export function remove(session: Session, handle: Handle): Over {
  if (handle.closing || handle.renames % 2 === 1) return;
  const { world, oracle } = session;
  // An atomic file may get its name meanwhile.
  const place = session.placeOf(handle) ?? handle.target;
  if (place !== undefined && oracle.names.begunAt(place) === undefined) return;
  const naming = place === undefined ? undefined : oracle.names.begin(place, undefined);
  handle.renames++;
  return session.call({
    name: "remove",
    promise: handle.file.remove(),
    handle,
    errnos: [Errno.ENOENT],
    over: () => {
      handle.renames++;
      naming?.settled(world.listing().get(place!));
    },
    done: () => {
      handle.target = undefined;
      if (place !== undefined && session.placeOf(handle) === place && !session.movedByOthers) {
        throw new Violation("file of the call", `${place} is still there`);
      }
    },
  });
}
