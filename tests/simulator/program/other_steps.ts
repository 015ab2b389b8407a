// Steps of other processes, and of the program outside of its files.

import { alignUp } from "../../../src/align.ts";
import { bytesOf, DIRECTORIES, ROOT } from "../files.ts";
import type { SimulatedDirectory } from "../kernel/directory_tree.ts";
import type { TrackedFile } from "../oracle/tracked_file.ts";
import type { Random } from "../random.ts";
import { crash } from "./program_end_steps.ts";
import type { Session } from "./session.ts";
import { nothing, path, size, step } from "./step.ts";

/** A change to a file or a name that the module does not see. */
function act(session: Session, action: Other): void {
  const { world: { tree }, oracle } = session;
  const pathOf = (directory: number, name: string) => `${ROOT}/${DIRECTORIES[directory]}/${name}`;
  const path = pathOf(action.path.directory, action.path.name);
  const view = tree.fileAt(path);
  const place = tree.placeOf(path);
  if (!view || oracle.names.begunAt(place) === undefined) return;
  const tracked = oracle.track(view);
  const amount = Math.min(action.amount, 20_000);
  const bytes = bytesOf(action.seed, amount);
  const from = tree.resolve(path)!;
  switch (action.what) {
    case "append":
      return append(session, tracked, bytes);
    case "truncate":
      return truncate(session, tracked, amount);
    case "rename": {
      const to = pathOf(action.seed % 2, "moved");
      if (tree.fileAt(to)) return;
      tree.edit([{ ...tree.resolve(to)!, node: view }, { ...from, node: undefined }]);
      session.movedByOthers = true;
      tracked.namer = undefined;
      oracle.names.changed(tree.placeOf(to));
      break;
    }
    case "remove":
      tree.edit([{ ...from, node: undefined }]);
      break;
    case "replace": {
      const file = tree.makeFile();
      file.write(0, bytes);
      tree.edit([{ ...from, node: file }]);
      const made = oracle.track(file);
      made.durable.mayBeTruncated(0);
      made.touches.addPastWriters(0, amount);
    }
  }
  oracle.names.changed(place);
}

/** Another process must not change bytes while the module does: their order would be unknown. */
function isQuiet({ isBusy, isLengthLeftAlone, writers }: TrackedFile): boolean {
  return !isBusy && isLengthLeftAlone && [...writers].every(({ facts }) => !facts.appendsAlways);
}

function append(session: Session, tracked: TrackedFile, bytes: Uint8Array): void {
  const { size } = tracked.view;
  // Behind the bytes and the reserved space of writers.
  const isBehind = [...tracked.writers].every((writer) => {
    const end = alignUp(writer.givenEnd, writer.block);
    const reserved = writer.facts.preallocate ? writer.start + writer.facts.sizeHint : 0;
    return writer.isOpened && !writer.piped && Math.max(end, reserved) <= size &&
      (!writer.facts.preallocate || size < 8 << 20);
  });
  if (!isQuiet(tracked) || !isBehind || session.isOthers(tracked) || bytes.length === 0) return;
  // A writer that reached the first block of these bytes would fill it.
  for (const writer of tracked.writers) {
    writer.wall = Math.min(writer.wall, size - size % writer.block);
  }
  tracked.view.write(size, bytes);
  tracked.durable.mayChange(size, size + bytes.length);
  tracked.touches.addPastWriters(Math.min(size, tracked.expected.end), size + bytes.length);
  tracked.expected.settle(size, bytes);
  for (const writer of tracked.writers) writer.noteSize();
}

function truncate(session: Session, tracked: TrackedFile, length: number): void {
  const { expected, view } = tracked;
  // Behind the content, or beside a writer behind the end of the file, the bytes look like reserved space.
  const isPlain = length <= expected.end || (length > view.size && tracked.writers.size === 0);
  if (!isQuiet(tracked) || !isPlain || session.isOthers(tracked)) return;
  const { size } = view;
  view.truncate(length);
  tracked.truncatedByOthers(length, size);
}

function drawOther(random: Random) {
  return {
    what: random.choose({ append: 4, truncate: 4, rename: 2, remove: 2, replace: 1 }),
    path: path(random),
    amount: size(random),
    seed: random.seed(),
  };
}

type Other = ReturnType<typeof drawOther>;

export const otherSteps = {
  "another process": step(1.5, drawOther, ({ session }, action) => act(session, action)),
  "change directory": step(
    0.2,
    (random) => ({ directory: random.between(-1, 1) }),
    ({ session: { world: { tree } } }, { directory }) => {
      const node = tree.lookUp(`${ROOT}/${DIRECTORIES[directory] ?? ""}`);
      tree.workingDirectory = node as SimulatedDirectory;
    },
  ),
  /** An uncaught error, after which the program continues. */
  crash: step(0.4, nothing, crash),
  sleep: step(
    2,
    (random) => ({ microseconds: random.pick([0, 10, 500, 20_000]) }),
    ({ session }, { microseconds }) => session.world.clock.sleep(microseconds),
  ),
  /** The task waits for all its steps. */
  join: step(1, nothing, () => {}),
};
