// Steps that open, close and sync files.

import { Errno } from "../../../src/engine/linux.ts";
import type { DmaFile } from "../../../mod.ts";
import { Violation } from "../oracle/promises.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import { ASKED, mayPublish, publish } from "./name_steps.ts";
import { Handle, type Over, type Session, type Slot } from "./session.ts";
import { nothing, onFile, type Path, path, step } from "./step.ts";
import type { Random } from "../random.ts";

/** How a file is opened by a path. */
interface Opening {
  readonly path: Path;
  readonly read: boolean;
  readonly write: boolean;
  readonly create: "no" | "yes" | "new";
  readonly truncate: boolean;
  /** Every write goes to the current end of the file. */
  readonly append: boolean;
  readonly direct: "prefer" | "off" | "require";
}

interface Creation extends Pick<Opening, "path" | "read" | "direct"> {
  readonly atomic: boolean;
}

function direct(random: Random): Opening["direct"] {
  return random.weighted([[4, "prefer"], [1, "off"], [0.5, "require"]]);
}

function drawOpening(random: Random): Opening {
  const append = random.chance(0.15);
  const write = append || random.chance(0.85);
  return {
    path: path(random),
    read: !write || random.chance(0.9),
    write,
    create: random.pick(["no", "yes", "yes", "new"]),
    truncate: !append && random.chance(0.2),
    append,
    direct: append ? "prefer" : direct(random),
  };
}

function drawCreation(random: Random): Creation {
  return {
    path: path(random),
    atomic: random.chance(0.35),
    read: random.chance(0.9),
    direct: direct(random),
  };
}

/** Puts a file into a slot without one. */
function opening<Args>(take: (session: Session, slot: Slot, args: Args) => Over) {
  return async (session: Session, slot: Slot, args: Args) => {
    if (slot.handle || slot.opening) return;
    slot.opening = true;
    await take(session, slot, args);
    slot.opening = false;
  };
}

function openTemporary(session: Session, slot: Slot): Promise<void> {
  const { world, module } = session;
  return session.call({
    name: "temp",
    promise: module.DmaFile.temp({ dir: world.root }),
    memory: ASKED,
    done: (file) => slot.handle = handleOf(session, file, { read: true, write: true }),
  });
}

function createAtomic(session: Session, slot: Slot, action: Creation): Promise<void> {
  const { world, oracle, module } = session;
  const path = session.path(action.path);
  const target = world.placeOf(path)!;
  const { read, direct } = action;
  oracle.temporaries++;
  return session.call({
    name: "create atomic",
    promise: module.DmaFile.create(path, { atomic: true, read, direct }),
    memory: ASKED,
    errnos: refusalsOf(action),
    done: (file) => {
      slot.handle = handleOf(session, file, { read, write: true });
      slot.handle.target = target;
      slot.handle.hidden = true;
    },
    failed: () => oracle.temporaries--,
  });
}

function create(session: Session, slot: Slot, action: Creation): Over {
  if (action.atomic) return createAtomic(session, slot, action);
  const { path, read, direct } = action;
  const created = { write: true, create: "yes", truncate: true, append: false } as const;
  return openNamed(session, slot, { ...created, path, read, direct }, true);
}

/** Opens or creates a file; with `byCreate` by DmaFile.create. */
function openNamed(session: Session, slot: Slot, action: Opening, byCreate = false): Over {
  const { world, oracle, module } = session;
  const path = session.path(action.path);
  const place = world.placeOf(path)!;
  const { read, write, create, append, truncate: isTruncated, direct } = action;
  const empties = write && isTruncated;
  const createsNew = write && create === "new";
  const creates = write && create !== "no";
  const found = world.listing().get(place);
  const there = found === undefined ? undefined : oracle.track(world.fileOf(found)!);
  const begun = oracle.names.begunAt(place);
  // A file that is truncated must not be changed or replaced by another call meanwhile.
  if (empties && (begun === undefined || (there && isTaken(there)))) return;
  const truncate = { length: 0 };
  const emptied = { place, seen: new Set([found]) };
  if (empties) {
    there?.truncates.add(truncate);
    oracle.emptied.add(emptied);
  }
  const naming = oracle.names.begin(place, found, ...(creates ? ["new"] as const : []));
  const options = { read, write, create: creates && !createsNew, createNew: createsNew, direct };
  const promise = byCreate
    ? module.DmaFile.create(path, { read, direct })
    : module.DmaFile.open(path, { ...options, truncate: empties, append });
  return session.call({
    name: "open",
    promise,
    memory: ASKED,
    errnos: [
      ...(creates ? [] : [Errno.ENOENT]),
      ...(createsNew ? [Errno.EEXIST] : []),
      ...refusalsOf(action),
    ],
    over: () => {
      there?.truncates.delete(truncate);
      oracle.emptied.delete(emptied);
    },
    done: (file) => {
      naming.settled(world.listing().get(place));
      const handle = handleOf(session, file, { read, write, append });
      const isFound = handle.tracked === there;
      // Another call may have created the file, and must make its name durable.
      const isOwn = begun !== undefined && oracle.names.begunAt(place) === begun + 1;
      const made = creates && !isFound;
      handle.owns = empties || made;
      if (made && isOwn) handle.tracked.namer = handle.file;
      slot.handle = handle;
      if (createsNew && isFound) {
        throw new Violation("file", "createNew opened a file that was there");
      }
    },
    failed: () => naming.settled(),
  });
}

/** Errors of an open that requires a feature that some file systems lack. */
function refusalsOf({ direct }: Pick<Opening, "direct">): number[] {
  return direct === "require" ? [Errno.EOPNOTSUPP] : [];
}

function isTaken({ claims, truncates, writers }: TrackedFile): boolean {
  return claims.size + truncates.size + writers.size > 0;
}

function handleOf(
  session: Session,
  file: DmaFile,
  { read, write, append = false }: { read: boolean; write: boolean; append?: boolean },
): Handle {
  const fd = session.module.descriptorNumber(file);
  const tracked = session.oracle.track(session.world.kernel.description(fd).file!);
  const block = file.direct && !session.world.exactTails ? file.alignment.offset : 1;
  return new Handle(file, tracked, block, read, write, append);
}

// ---- the end ------------------------------------------------------------------------------------------------------

/** Closes a file. An open writer is aborted. */
export function closeFile(
  session: Session,
  handle: Handle,
  { twice }: { twice: boolean },
  slot: Slot,
): Over {
  if (handle.closing || !mayPublish(session, handle)) return;
  handle.closing = true;
  const writer = slot.writer?.handle === handle ? slot.writer.oracle : undefined;
  const isEnding = writer?.ending === true;
  if (writer) writer.ending = true;
  const publishes = handle.target !== undefined && (!writer || writer.closes || writer.piped);
  const publication = publishes ? publish(session, handle) : undefined;
  const synced = publication && !writer ? beginSync(session, handle.tracked) : undefined;
  const over = (succeeded: boolean) => {
    // The result of an earlier close is checked by that call.
    if (writer && !isEnding) writer.gaveUp(session.cutsAreSure);
    session.leave(handle);
    publication?.(succeeded && (!writer || writer.end === "closed"));
  };
  return session.call({
    name: "close file",
    promise: twice ? closeTwice(handle.file) : handle.file.close(),
    handle,
    writer,
    done: () => {
      over(true);
      // "atomic": the bytes are durable before the file gets its name.
      synced?.();
    },
    failed: () => over(false),
  });
}

async function closeTwice(file: DmaFile): Promise<void> {
  await Promise.all([file.close(), file[Symbol.asyncDispose]()]);
}

/** Drops a file, with its streams. */
function dropFile(session: Session, handle: Handle, _: unknown, slot: Slot): void {
  const { writer, reader } = slot;
  if (handle.closing || reader || writer?.oracle.isLocked || writer?.oracle.ending) return;
  if (writer && session.callsOf(writer.oracle).length > 0) return;
  handle.closing = true;
  slot.handle = undefined;
  if (writer) session.drop(writer);
  session.oracle.hasDropped = true;
  session.finalizers.collect(handle.file);
}

// ---- syncs and sizes ----------------------------------------------------------------------------------------------

/** The bytes that a sync makes durable if it begins now. Call the result after its success. */
function beginSync({ oracle }: Session, tracked: TrackedFile): () => void {
  const since = oracle.now();
  const certain = tracked.certain();
  const { size } = tracked.view;
  return () => {
    // No later sync writes the bytes that a failed one has dropped.
    if (!tracked.losing.isEmpty) return;
    const now = tracked.certainSince(since, false);
    const ranges = [...certain].flatMap(([from, to]) => now.within(from, to));
    const isExact = tracked.touches.isSizeStable(since) && !tracked.isBusy;
    tracked.promise(ranges, isExact ? size : undefined);
    oracle.cutThrice();
  };
}

/** Syncs a file, not through its streams. */
function syncFile(session: Session, handle: Handle, { dataOnly }: { dataOnly: boolean }) {
  const done = beginSync(session, handle.tracked);
  const promise = dataOnly ? handle.file.syncData() : handle.file.sync();
  return session.call({ name: "sync file", promise, handle, done });
}

function askSize(session: Session, handle: Handle, { stats }: { stats: boolean }): Over {
  const { tracked } = handle;
  for (const { handle: other } of session.slots) {
    if (!other || other.file.isSameFile(handle.file) === (other.tracked === tracked)) continue;
    session.oracle.guard(() => {
      throw new Violation("file", "isSameFile takes one file for another");
    });
  }
  const since = session.oracle.now();
  return session.call({
    name: "size",
    promise: stats ? sizeOf(handle) : handle.file.size(),
    handle,
    done: (size) => {
      if (!tracked.touches.isSizeStable(since) || size === tracked.view.size) return;
      throw new Violation("file", `size() says ${size}, it is ${tracked.view.size}`);
    },
  });
}

async function sizeOf({ file, tracked }: Handle): Promise<number> {
  const { ino, size } = await file.stat();
  if (ino !== tracked.view.inode) throw new Violation("file", `stat() says inode ${ino}`);
  return size;
}

// ---- the steps ----------------------------------------------------------------------------------------------------

export const openingSteps = {
  create: step(2.4, drawCreation, opening(create)),
  open: step(2.4, drawOpening, opening(openNamed)),
  temp: step(0.3, nothing, opening(openTemporary)),
  "close file": onFile(1.5, (random) => ({ twice: random.chance(0.2) }), closeFile),
  "drop file": onFile(0.3, nothing, dropFile),
};

export const syncSteps = {
  "sync file": onFile(1, (random) => ({ dataOnly: random.chance(0.5) }), syncFile),
  size: onFile(0.5, (random) => ({ stats: random.chance(0.5) }), askSize),
  // A call that waits for a lock may wait until the end of the program.
  lock: onFile(
    0.4,
    (random) => ({ exclusive: random.chance(0.5) }),
    (session, handle, { exclusive }) =>
      session.call({ name: "tryLock", promise: handle.file.tryLock(exclusive), handle }),
  ),
  unlock: onFile(
    0.3,
    nothing,
    (session, handle) => session.call({ name: "unlock", promise: handle.file.unlock(), handle }),
  ),
};
