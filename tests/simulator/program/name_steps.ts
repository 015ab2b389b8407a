// Steps that publish, rename and remove files. One call at a time changes a name, or the name of a handle: the kernel
// renames names, not files, and another file may take the name in between.

import { Errno } from "../../../src/engine/linux.ts";
import type { Place } from "../kernel/directory_tree.ts";
import type { Occupant } from "../oracle/expected_names.ts";
import { Violation } from "../oracle/promises.ts";
import type { Handle } from "./session.ts";
import { nothing, onFile, path } from "./step.ts";

/** The memory for reading /proc/swaps. */
export const ASKED = 4096;

/** Begins changes of names, each to a possible file. Call the result at the end. */
function changing({ session: { oracle, world } }: Handle, changes: Map<Place, Occupant>) {
  const begun = [...changes].map(([place, occupant]) =>
    [place, oracle.names.begin(place, occupant)] as const
  );
  return () => {
    const listing = world.tree.listing();
    for (const [place, change] of begun) change.settled(listing.get(place));
  };
}

/** Begins the publication of an atomic file. Call the result with its success. */
export function publish(handle: Handle): (succeeded: boolean) => void {
  const { session: { world, oracle }, tracked } = handle;
  const { inode } = tracked.view;
  const place = handle.target!;
  const naming = oracle.names.begin(place, inode);
  handle.renaming = true;
  return (succeeded) => {
    handle.renaming = false;
    const now = world.tree.listing().get(place);
    naming.settled(now);
    if (!succeeded) return;
    handle.unhide();
    handle.target = undefined;
    if (now !== inode) throw new Violation("atomic", `${place} is not the file that was closed`);
    tracked.namer = handle.file;
    handle.promiseName({ place, begun: naming.begun });
  };
}

export const nameSteps = {
  /** Renames a file, or changes the future name of an atomic one. */
  rename: onFile(0.7, (random) => ({ path: path(random) }), (handle, action) => {
    const { session, tracked, place: from, target } = handle;
    const { world, oracle: { names } } = session;
    const text = session.path(action.path);
    const to = world.tree.placeOf(text);
    const changes = new Map<Place, Occupant>();
    if (from !== undefined) changes.set(from, undefined);
    if (target !== undefined) changes.set(target, undefined);
    changes.set(to, tracked.view.inode);
    const isTaken = [...changes.keys()].some((place) => names.begunAt(place) === undefined);
    if (handle.closing || handle.renaming || isTaken) return;
    const settle = changing(handle, changes);
    handle.renaming = true;
    return handle.call({
      name: "rename",
      promise: handle.file.rename(text),
      memory: ASKED,
      errnos: [Errno.ENOENT],
      over: () => {
        handle.renaming = false;
        settle();
      },
      done: () => {
        if (handle.target !== undefined) return void (handle.target = to);
        if (from === undefined) return;
        tracked.namer = handle.file;
        // Other handles of the file know it by its old name.
        if (handle.isShared || session.slots.some(({ opening }) => opening)) {
          session.movedByOthers = true;
        }
        if (world.tree.listing().get(to) === tracked.view.inode) return;
        throw new Violation("file of the call", `${to} is not the file that was renamed`);
      },
    });
  }),
  remove: onFile(0.5, nothing, (handle) => {
    const { session } = handle;
    // An atomic file may be published meanwhile.
    const place = handle.place ?? handle.target;
    const isTaken = place !== undefined && session.oracle.names.begunAt(place) === undefined;
    if (handle.closing || handle.renaming || isTaken) return;
    const settle = changing(handle, new Map(place === undefined ? [] : [[place, undefined]]));
    handle.renaming = true;
    return handle.call({
      name: "remove",
      promise: handle.file.remove(),
      errnos: [Errno.ENOENT],
      over: () => {
        handle.renaming = false;
        settle();
      },
      done: () => {
        handle.target = undefined;
        if (place !== undefined && handle.place === place && !session.movedByOthers) {
          throw new Violation("file of the call", `${place} is still there`);
        }
      },
    });
  }),
};
