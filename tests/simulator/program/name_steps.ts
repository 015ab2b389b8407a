// Steps that publish, rename and remove files.

import { Errno } from "../../../src/engine/linux.ts";
import type { NameChange, Occupant, Place } from "../oracle/expected_names.ts";
import { Violation } from "../oracle/promises.ts";
import type { Handle, Over, Session } from "./session.ts";
import { nothing, onFile, type Path, path } from "./step.ts";

/** The memory for reading /proc/swaps. */
export const ASKED = 4096;

/** Whether no other call is about to change the future name of an atomic file. */
export function mayPublish({ oracle }: Session, { target }: Handle): boolean {
  return target === undefined || oracle.names.begunAt(target) !== undefined;
}

/** Begins the publication of an atomic file. Call the result with its success. */
export function publish(session: Session, handle: Handle): (succeeded: boolean) => void {
  const { oracle, world } = session;
  const place = handle.target!;
  const { inode } = handle.tracked.view;
  const naming = oracle.names.begin(place, inode);
  const { renames } = handle;
  const after = handle.publishing ??= [];
  return (succeeded) => {
    handle.publishing = undefined;
    for (const settle of after.splice(0)) settle();
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

/** Renames a file, or changes the future name of an atomic one. */
function rename(session: Session, handle: Handle, { path }: { path: Path }): Over {
  if (handle.closing || handle.renames % 2 === 1) return;
  const { world, oracle } = session;
  const text = session.path(path);
  const to = world.placeOf(text)!;
  if (oracle.names.begunAt(to) === undefined) return;
  const from = session.placeOf(handle);
  // Another file may take the name between the check and the rename, because the kernel renames names, not files.
  if (from !== undefined && oracle.names.begunAt(from) === undefined) return;
  const { inode } = handle.tracked.view;
  const changes: [Place, NameChange][] = [];
  const begin = (place: Place, occupant: Occupant) =>
    changes.push([place, oracle.names.begin(place, occupant)]);
  // An atomic file may be published meanwhile, and then renamed.
  if (from !== undefined) begin(from, undefined);
  if (handle.target !== undefined) begin(handle.target, undefined);
  begin(to, inode);
  handle.renames++;
  const over = () => {
    handle.renames++;
    const settle = () => {
      const listing = world.listing();
      for (const [place, change] of changes) change.settled(listing.get(place));
    };
    // A running publication gives the file the new name when it ends.
    if (handle.publishing) handle.publishing.push(settle);
    else settle();
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
        // Other handles of the file know it by its old name.
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
function remove(session: Session, handle: Handle): Over {
  if (handle.closing || handle.renames % 2 === 1) return;
  const { world, oracle } = session;
  // An atomic file may be published meanwhile.
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

export const nameSteps = {
  rename: onFile(0.7, (random) => ({ path: path(random) }), rename),
  remove: onFile(0.5, nothing, remove),
};
