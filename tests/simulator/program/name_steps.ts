// Steps that publish, rename and remove files. One call at a time changes a name, or the name of a handle: the kernel
// renames names, not files, and another file may take the name in between.

import { Errno } from "../../../src/engine/linux.ts";
import type { Place } from "../kernel/directory_tree.ts";
import type { Occupant } from "../oracle/expected_names.ts";
import { violate } from "../oracle/promises.ts";
import type { Call, Handle, Over } from "./session.ts";
import { nothing, onFile, path } from "./step.ts";

/** The memory for reading /proc/swaps. */
export const ASKED = 4096;

/** Calls what changes these names, each to a possible file, unless another call changes one of them. */
function change(
  handle: Handle,
  changes: Map<Place, Occupant>,
  name: string,
  begin: () => Promise<void>,
  call: Call<void>,
): Over {
  const { names } = handle.session.oracle;
  const isTaken = [...changes.keys()].some((place) => names.begunAt(place) === undefined);
  if (handle.closing || handle.renaming || isTaken) return;
  const begun = [...changes].map(([place, occupant]) => names.begin(place, occupant));
  handle.renaming = true;
  return handle.call(name, begin(), {
    ...call,
    errnos: [Errno.ENOENT],
    over: () => {
      handle.renaming = false;
      for (const change of begun) change.settled();
    },
  });
}

/** Begins the publication of an atomic file. Call the result with its success. */
export function publish(handle: Handle): (succeeded: boolean) => void {
  const { session: { world, oracle }, tracked, lacksBytes } = handle;
  const { inode } = tracked.view;
  const place = handle.target!;
  const naming = oracle.names.begin(place, inode);
  handle.renaming = true;
  return (succeeded) => {
    handle.renaming = false;
    naming.settled();
    if (!succeeded) return;
    if (lacksBytes) violate("atomic", `${place} lacks bytes of a failed write`);
    oracle.hidden.delete(handle);
    handle.target = undefined;
    if (world.tree.listing().get(place) !== inode) {
      violate("atomic", `${place} is not the file that was closed`);
    }
    tracked.namer = handle.file;
    handle.promiseName(place, naming.begun);
  };
}

export const nameSteps = {
  /** Renames a file, or changes the future name of an atomic one. */
  rename: onFile(0.7, (random) => ({ path: path(random) }), (handle, action) => {
    const { session, session: { world: { tree } }, file, tracked, place: from, target } = handle;
    const { inode } = tracked.view;
    const text = session.path(action.path);
    const to = tree.placeOf(text);
    const changes = new Map<Place, Occupant>();
    for (const place of [from, target]) if (place !== undefined) changes.set(place, undefined);
    return change(handle, changes.set(to, inode), "rename", () => file.rename(text), {
      memory: ASKED,
      done: () => {
        if (handle.target !== undefined) return void (handle.target = to);
        if (from === undefined) return;
        tracked.namer = file;
        // Other handles of the file know it by its old name.
        if (handle.isShared || session.slots.some(({ opening }) => opening)) {
          session.movedByOthers = true;
        }
        if (tree.listing().get(to) === inode) return;
        violate("file of the call", `${to} is not the file that was renamed`);
      },
    });
  }),
  remove: onFile(0.5, nothing, (handle) => {
    // An atomic file may be published meanwhile.
    const place = handle.place ?? handle.target;
    const changes = new Map(place === undefined ? [] : [[place, undefined]]);
    return change(handle, changes, "remove", () => handle.file.remove(), {
      done: () => {
        handle.target = undefined;
        if (place !== undefined && handle.place === place && !handle.session.movedByOthers) {
          violate("file of the call", `${place} is still there`);
        }
      },
    });
  }),
};
