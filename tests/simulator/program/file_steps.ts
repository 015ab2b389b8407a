// Steps that open, close and sync files.

import { Errno } from "../../../src/engine/linux.ts";
import { ROOT } from "../files.ts";
import { violate } from "../oracle/promises.ts";
import type { Random } from "../random.ts";
import { ASKED, publish } from "./name_steps.ts";
import { collect } from "./finalizers.ts";
import { Handle, type Over, type Slot } from "./session.ts";
import { nothing, onFile, path, step } from "./step.ts";

const directs = { prefer: 4, off: 1, require: 0.5 };

function drawOpening(random: Random) {
  // Every write goes to the current end of the file.
  const append = random.chance(0.15);
  const write = append || random.chance(0.85);
  return {
    path: path(random),
    read: !write || random.chance(0.9),
    write,
    create: random.pick(["no", "yes", "yes", "new"]),
    truncate: !append && random.chance(0.2),
    append,
    direct: append ? "prefer" : random.choose(directs),
  } as const;
}

type Opening = ReturnType<typeof drawOpening>;

/** Errors of an open that requires a feature that some file systems lack. */
function refusalsOf({ direct }: Pick<Opening, "direct">): number[] {
  return direct === "require" ? [Errno.EOPNOTSUPP] : [];
}

/** A step that puts a file into a slot without one. */
function opening<Args extends object>(
  weight: number,
  draw: (random: Random) => Args,
  open: (slot: Slot, args: Args) => Over,
) {
  return step(weight, draw, async (slot, args) => {
    if (slot.handle || slot.opening) return;
    slot.opening = true;
    await open(slot, args);
    slot.opening = false;
  });
}

function createAtomic(slot: Slot, action: Pick<Opening, "path" | "read" | "direct">): Over {
  const { session, session: { world, oracle, module } } = slot;
  const path = session.path(action.path);
  const target = world.tree.placeOf(path);
  const { read, direct } = action;
  oracle.hidden.add(action);
  const creating = module.DmaFile.create(path, { atomic: true, read, direct });
  return session.call("create atomic", creating, {
    memory: ASKED,
    errnos: refusalsOf(action),
    done: (file) => {
      const handle = slot.handle = new Handle(session, file, read);
      handle.target = target;
      oracle.hidden.add(handle);
    },
    over: () => oracle.hidden.delete(action),
  });
}

/** Opens or creates a file; with `byCreate` by DmaFile.create. */
function openNamed(slot: Slot, action: Opening, byCreate = false): Over {
  const { session, session: { world, oracle, module } } = slot;
  const path = session.path(action.path);
  const place = world.tree.placeOf(path);
  const { read, write, append, direct } = action;
  const empties = write && action.truncate;
  const createsNew = write && action.create === "new";
  const creates = write && action.create !== "no";
  const view = world.tree.fileAt(path);
  const there = view && oracle.track(view);
  const begun = oracle.names.begunAt(place);
  // A file that is truncated must not be changed or replaced by another call meanwhile.
  if (empties && (begun === undefined || there?.isUsed)) return;
  if (session.emptying.has(place)) return;
  if (empties) session.emptying.add(place);
  if (empties && there) there.emptying++;
  const naming = oracle.names.begin(place, view?.inode, ...(creates ? ["new"] as const : []));
  const options = { read, write, create: creates && !createsNew, createNew: createsNew, direct };
  const promise = byCreate
    ? module.DmaFile.create(path, { read, direct })
    : module.DmaFile.open(path, { ...options, truncate: empties, append });
  return session.call("open", promise, {
    memory: ASKED,
    errnos: [
      ...(creates ? [] : [Errno.ENOENT]),
      ...(createsNew ? [Errno.EEXIST] : []),
      ...refusalsOf(action),
    ],
    over: () => {
      if (!empties) return;
      session.emptying.delete(place);
      if (there) there.emptying--;
    },
    done: (file) => {
      naming.settled();
      const handle = slot.handle = new Handle(session, file, read, write, append);
      const isFound = handle.tracked === there;
      // Another call may have created the file, and must make its name durable.
      const isOwn = begun !== undefined && oracle.names.begunAt(place) === begun + 1;
      const made = creates && !isFound;
      handle.owns = empties || made;
      if (made && isOwn) handle.tracked.namer = handle.file;
      if (createsNew && isFound) violate("file", "createNew opened an existing file");
    },
    failed: () => naming.settled(false),
  });
}

export const openingSteps = {
  create: opening(
    2.4,
    (random) => ({
      path: path(random),
      atomic: random.chance(0.35),
      read: random.chance(0.9),
      direct: random.choose(directs),
    }),
    (slot, { atomic, ...action }) => {
      if (atomic) return createAtomic(slot, action);
      const created = { write: true, create: "yes", truncate: true, append: false } as const;
      return openNamed(slot, { ...created, ...action }, true);
    },
  ),
  open: opening(2.4, drawOpening, openNamed),
  temp: opening(0.3, nothing, (slot) => {
    const { session } = slot;
    return session.call("temp", session.module.DmaFile.temp({ dir: ROOT }), {
      memory: ASKED,
      done: (file) => slot.handle = new Handle(session, file),
    });
  }),
  "close file": onFile(1.5, (random) => ({ twice: random.chance(0.2) }), closeFile),
  "drop file": onFile(0.3, nothing, dropFile),
};

/** Closes a file. An open writer is aborted. */
export function closeFile(handle: Handle, { twice }: { twice: boolean }, slot: Slot): Over {
  if (handle.closing || !handle.mayPublish) return;
  handle.closing = true;
  const { session, file } = handle;
  const writer = slot.writer?.handle === handle ? slot.writer.oracle : undefined;
  const isEnding = writer?.ending === true;
  if (writer) writer.ending = true;
  const publishes = handle.target !== undefined && (!writer || writer.closes || writer.piped);
  const publication = publishes ? publish(handle) : undefined;
  const synced = publication && !writer ? beginSync(handle) : undefined;
  const ends = twice ? Promise.all([file.close(), file[Symbol.asyncDispose]()]) : file.close();
  return handle.call<unknown>("close file", ends, {
    writer,
    over: (succeeded) => {
      // The result of an earlier close is checked by that call.
      if (writer && !isEnding) writer.gaveUp(session.cutsAreSure);
      session.oracle.hidden.delete(handle);
      handle.leave();
      publication?.(succeeded && (!writer || writer.end === "closed"));
    },
    // "atomic": the bytes are durable before the file gets its name.
    done: () => synced?.(),
  });
}

function dropFile(handle: Handle, _: unknown, slot: Slot): void {
  const { writer, reader } = slot;
  if (handle.closing || reader || writer?.oracle.isLocked || writer?.oracle.ending) return;
  if (writer && writer.calls.length > 0) return;
  handle.closing = true;
  slot.handle = undefined;
  writer?.drop();
  handle.session.oracle.hasDropped = true;
  collect(handle.file);
}

/** The bytes that a sync makes durable if it begins now. Call the result after its success. */
function beginSync({ session: { world, oracle }, tracked }: Handle): () => void {
  const since = world.clock.tick();
  const certain = tracked.certain();
  const { size } = tracked.view;
  return () => {
    if (tracked.hasFailedSync) return;
    const now = tracked.certainSince(since, false);
    const ranges = [...certain].flatMap(([from, to]) => now.within(from, to));
    const isExact = tracked.touches.isSizeStable(since) && !tracked.isBusy;
    tracked.promise(ranges, isExact ? size : undefined);
    oracle.cutThrice();
  };
}

async function sizeOf({ file, tracked }: Handle): Promise<number> {
  const { ino, size } = await file.stat();
  if (ino !== tracked.view.inode) violate("file", `stat() says inode ${ino}`);
  return size;
}

export const syncSteps = {
  /** Syncs a file, not through its streams. */
  "sync file": onFile(1, (random) => ({ dataOnly: random.chance(0.5) }), (handle, { dataOnly }) => {
    const done = beginSync(handle);
    const promise = dataOnly ? handle.file.syncData() : handle.file.sync();
    return handle.call("sync file", promise, { done });
  }),
  size: onFile(0.5, (random) => ({ stats: random.chance(0.5) }), (handle, { stats }) => {
    const { session, file, tracked } = handle;
    const isRight = session.handles.every((other) =>
      other.file.isSameFile(file) === (other.tracked === tracked)
    );
    const since = session.world.clock.tick();
    return handle.call("size", stats ? sizeOf(handle) : file.size(), {
      done: (size) => {
        if (!isRight) violate("file", "isSameFile takes one file for another");
        if (!tracked.touches.isSizeStable(since) || size === tracked.view.size) return;
        violate("file", `size() says ${size}, it is ${tracked.view.size}`);
      },
    });
  }),
  // A call that waits for a lock may wait until the end of the program.
  lock: onFile(0.4, (random) => ({ exclusive: random.chance(0.5) }), (handle, { exclusive }) => {
    return handle.call("tryLock", handle.file.tryLock(exclusive));
  }),
  unlock: onFile(0.3, nothing, (handle) => {
    return handle.call("unlock", handle.file.unlock());
  }),
};
