// Makes programs: what users do with files and streams, in any order.

import type { Random } from "../random.ts";
import type {
  Action,
  Direct,
  FilePath,
  OtherAction,
  Program,
  Step,
  WriterChoice,
  WriterEnding,
} from "./steps.ts";

const EDGES = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8192, 12_288, 65_536];
const NAMES = ["one", "two", "three"];
const SIZES_OF_BUFFERS = [0, 512, 4096, 5000, 12_288, 65_536];

function size(random: Random): number {
  return random.weighted([
    [3, () => random.pick(EDGES)],
    [4, () => random.below(300)],
    [4, () => random.below(5000)],
    [2, () => random.below(30_000)],
    [0.02, () => random.below(2_000_000)],
  ])();
}

function place(random: Random): number {
  return random.weighted([
    [4, () => random.pick(EDGES)],
    [2, () => random.below(20)],
    [2, () => random.below(5000)],
    [2, () => random.below(40_000)],
    [0.2, () => 2 ** 33 + random.below(10_000)],
  ])();
}

function path(random: Random): FilePath {
  return {
    directory: random.below(2),
    name: random.pick(NAMES),
    relative: random.chance(0.3),
  };
}

function direct(random: Random): Direct {
  return random.weighted([[4, "prefer"], [1, "off"]]);
}

function writer(random: Random): WriterChoice {
  const isDefault = random.chance(0.1);
  return {
    place: random.weighted([[5, "start"], [2, "position"], [3, "append"], [1, "default"]]),
    position: random.chance(0.1) ? (9 << 20) + random.below(5000) : place(random),
    bufferSize: isDefault ? undefined : random.pick(SIZES_OF_BUFFERS),
    writeBehind: isDefault ? undefined : random.between(1, 4),
    preallocate: random.chance(0.6),
    sizeHint: random.weighted([[3, 0], [1, 5000], [1, 100_000]]),
    syncOnClose: random.chance(0.8),
    closeFile: random.chance(0.5),
    waits: random.chance(0.5),
  };
}

const endings: readonly (readonly [number, WriterEnding])[] = [
  [5, "close"],
  [1, "lock"],
  [1, "dispose"],
  [2, "seal"],
  [3, "abort"],
  [1, "abort lock"],
  [1, "drop"],
];

const others: readonly (readonly [number, OtherAction])[] = [
  [4, "append"],
  [4, "truncate"],
  [2, "rename"],
  [2, "remove"],
  [1, "replace"],
];

type Make = (random: Random, slots: number) => Action;

const opening: readonly (readonly [number, Make])[] = [
  [4, (random) => ({
    do: "create",
    path: path(random),
    atomic: random.chance(0.35),
    direct: direct(random),
  })],
  [4, (random) => {
    const append = random.chance(0.15);
    return {
      do: "open",
      path: path(random),
      write: append || random.chance(0.85),
      create: random.pick(["no", "yes", "yes", "new"]),
      truncate: !append && random.chance(0.2),
      append,
      direct: direct(random),
    };
  }],
  [0.5, () => ({ do: "temp" })],
];

const actions: readonly (readonly [number, Make])[] = [
  ...opening.map(([weight, make]) => [weight * 0.6, make] as const),
  [1.5, () => ({ do: "close file" })],
  [0.3, () => ({ do: "drop file" })],
  [0.7, (random) => ({ do: "rename", path: path(random) })],
  [0.5, () => ({ do: "remove" })],
  [1, (random) => ({ do: "sync file", dataOnly: random.chance(0.5) })],
  [0.5, () => ({ do: "size" })],
  [0.4, (random) => ({ do: "lock", exclusive: random.chance(0.5) })],
  [0.3, () => ({ do: "unlock" })],
  [2, (random) => ({
    do: "readAt",
    position: place(random),
    length: size(random),
    aligned: random.chance(0.2),
  })],
  [0.6, (random) => ({
    do: "readMany",
    ranges: Array.from({ length: random.below(6) }, () => [place(random), size(random)]),
    maxGap: random.pick([0, 4096, 1 << 20]),
    stopAfter: random.pick([1, 100]),
  })],
  [2.5, (random) => ({
    do: "writeAt",
    block: random.below(12),
    blocks: random.below(4),
    buffer: random.chance(0.5),
    seed: random.seed(),
  })],
  [1.5, (random) => ({
    do: "truncate",
    to: {
      of: random.pick(["zero", "content", "size", "beyond"]),
      amount: random.pick([0, 1, 100, 512, 5000]),
    },
  })],
  [1, (random) => ({
    do: "preallocate",
    length: 1 + place(random),
    keepSize: random.chance(0.5),
  })],
  [0.5, (random) => ({ do: "deallocate", position: place(random), length: 1 + size(random) })],
  [2, (random, slots) => ({
    do: "copy",
    target: random.below(slots),
    position: place(random),
    length: size(random),
    block: random.below(12),
  })],
  [5, (random) => ({ do: "writer", ...writer(random) })],
  [16, (random) => ({
    do: "write",
    size: size(random),
    how: random.weighted([[6, "call"], [2, "lock"], [1, "buffer"], [2, "burst"]]),
    seed: random.seed(),
  })],
  [0.5, () => ({ do: "write nonsense" })],
  [1.5, (random) => ({ do: "flush", tail: random.chance(0.3) })],
  [4, (random) => ({ do: "sync", tail: random.chance(0.5) })],
  [2, (random) => ({ do: "flush now", durable: random.chance(0.5) })],
  [5, (random) => ({ do: "end writer", how: random.weighted(endings) })],
  [2, (random) => ({
    do: "reader",
    start: place(random),
    length: random.chance(0.5) ? Infinity : size(random),
    bufferSize: random.pick(SIZES_OF_BUFFERS),
    readAhead: random.below(5),
    closeFile: random.chance(0.2),
  })],
  [3, (random) => ({
    do: "read",
    reads: random.between(1, 3),
    view: random.pick([0, 0, 100, 4096, 16_384]),
  })],
  [1, (random) => ({ do: "skip", bytes: size(random) })],
  [1.5, (random) => ({
    do: "end reader",
    how: random.pick(["cancel", "close", "read all", "drop"]),
  })],
  [2, (random, slots) => ({
    do: "pipe",
    source: random.pick(["file", "program"]),
    from: random.below(slots),
    size: size(random),
    seed: random.seed(),
    preventClose: random.chance(0.3),
    preventAbort: random.chance(0.3),
    preventCancel: random.chance(0.3),
    abortAfter: random.chance(0.2) ? random.below(3000) : undefined,
    failAfter: random.chance(0.2) ? random.below(4) : undefined,
  })],
  [1.5, (random) => ({
    do: "another process",
    what: random.weighted(others),
    path: path(random),
    amount: size(random),
    seed: random.seed(),
  })],
  [0.2, (random) => ({ do: "change directory", directory: random.between(-1, 1) })],
  [0.4, () => ({ do: "crash" })],
  [2, (random) => ({ do: "sleep", microseconds: random.pick([0, 10, 500, 20_000]) })],
  [1, () => ({ do: "join" })],
];

/** Where a program has its files: in few places everybody meets. */
function limitsOf(random: Random): (action: Action) => Action {
  const directories = random.between(1, 2);
  const names = random.pick([1, 2, 3].map((count) => NAMES.slice(0, count)));
  return (action) => {
    if (!("path" in action)) return action;
    const { directory, name } = action.path;
    const limited = {
      directory: directory % directories,
      name: names[NAMES.indexOf(name) % names.length]!,
    };
    return { ...action, path: { ...action.path, ...limited } };
  };
}

/** What may come while a writer ends. */
const late: readonly ((random: Random) => Action)[] = [
  (random) => ({ do: "flush now", durable: random.chance(0.7) }),
  (random) => ({ do: "sync", tail: random.chance(0.5) }),
  () => ({ do: "end writer", how: "abort" }),
  () => ({ do: "close file" }),
  () => ({ do: "crash" }),
];

/** A program of some dozens of steps. */
export function generate(random: Random): Program {
  const tasks = random.between(1, 3);
  const slots = random.between(1, 3);
  const steps: Step[] = [];
  const unawaited = random.pick([0, 0.2, 0.6]);
  const limits = limitsOf(random);
  const add = (slot: number, task: number, action: Action) => {
    const awaited = !random.chance(unawaited);
    steps.push({ id: steps.length, task, slot, awaited, action: limits(action) });
  };
  for (let slot = 0; slot < slots; slot++) {
    add(slot, slot % tasks, random.weighted(opening)(random, slots));
    if (random.chance(0.7)) add(slot, slot % tasks, { do: "writer", ...writer(random) });
  }
  const length = random.between(5, 60);
  // Each program prefers some steps and does without others: what meets only rarely elsewhere meets often there.
  const chosen = actions.map(([weight, make]) =>
    [weight * random.pick([0, 0.5, 1, 1, 4]), make] as const
  );
  for (let count = 0; count < length; count++) {
    const slot = random.below(slots);
    const task = random.below(tasks);
    const action = random.weighted(chosen)(random, slots);
    add(slot, task, action);
    // Calls that meet an end are as interesting as they are rare.
    const ends = action.do === "end writer" || action.do === "pipe";
    if (ends && random.chance(0.35)) add(slot, task, random.pick(late)(random));
    // Without a file, and without a writer on it, most steps do nothing.
    const closes = ends || action.do === "close file" || action.do === "drop file";
    if (!closes || random.chance(0.3)) continue;
    add(slot, task, random.weighted(opening)(random, slots));
    if (random.chance(0.7)) add(slot, task, { do: "writer", ...writer(random) });
  }
  return { steps, tasks, slots, endsOpen: random.chance(0.3) };
}
