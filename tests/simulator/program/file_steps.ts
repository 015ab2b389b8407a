// Steps that open, close, name and sync files.

import { Errno } from "../../../src/engine/linux.ts";
import type { DmaFile } from "../../../mod.ts";
import { Violation } from "../oracle/promises.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import { ASKED, mayPublish, publish } from "./name_steps.ts";
import { Handle, type Over, type Session, type Slot } from "./session.ts";
import type { Of } from "./steps.ts";

export async function open(
  session: Session,
  slot: Slot,
  action: Of<"create"> | Of<"open"> | Of<"temp">,
): Promise<void> {
  if (slot.handle || slot.opening) return;
  slot.opening = true;
  if (action.do === "temp") await openTemporary(session, slot);
  else if (action.do === "create" && action.atomic) await createAtomic(session, slot, action);
  else await openNamed(session, slot, action);
  slot.opening = false;
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

function createAtomic(session: Session, slot: Slot, action: Of<"create">): Promise<void> {
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

function openNamed(
  session: Session,
  slot: Slot,
  action: Of<"create"> | Of<"open">,
): Over {
  const { world, oracle, module } = session;
  const path = session.path(action.path);
  const place = world.placeOf(path)!;
  const created = { write: true, create: "yes", truncate: true, append: false };
  const { write, create, append, truncate: isTruncated } = action.do === "create"
    ? created
    : action;
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
  const { read, direct } = action;
  const options = { read, write, create: creates && !createsNew, createNew: createsNew, direct };
  const promise = action.do === "create"
    ? module.DmaFile.create(path, { read, direct })
    : module.DmaFile.open(path, { ...options, truncate: empties, append });
  return session.call({
    name: action.do,
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
function refusalsOf({ direct }: Of<"create"> | Of<"open">): number[] {
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
  const tracked = session.oracle.track(session.world.kernel.fileUnder(fd)!);
  const block = file.direct && !session.world.exactTails ? file.alignment.offset : 1;
  return new Handle(file, tracked, block, read, write, append);
}

// ---- the end ------------------------------------------------------------------------------------------------------

/** Closes a file. An open writer is aborted. */
export function closeFile(
  session: Session,
  handle: Handle,
  { twice }: Pick<Of<"close file">, "twice">,
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
export function dropFile(session: Session, handle: Handle, _: unknown, slot: Slot): void {
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
export function syncFile(session: Session, handle: Handle, { dataOnly }: Of<"sync file">) {
  const done = beginSync(session, handle.tracked);
  const promise = dataOnly ? handle.file.syncData() : handle.file.sync();
  return session.call({ name: "sync file", promise, handle, done });
}

export function askSize(session: Session, handle: Handle, { stats }: Of<"size">): Promise<void> {
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
