// The steps of programs as values, and the way in which each is drawn. They can be printed, dropped and repeated.

import type { Random } from "../random.ts";

export const NAMES = ["one", "two", "three"];
const EDGES = [0, 1, 511, 512, 513, 4095, 4096, 4097, 8192, 12_288, 65_536];
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

/** A name of a file: the directory's index, and the name in it. */
function path(random: Random) {
  return {
    directory: random.below(2),
    name: random.pick(NAMES),
    /** Relative to the working directory. */
    relative: random.chance(0.3),
  };
}

function direct(random: Random) {
  return random.weighted([[4, "prefer"], [1, "off"], [0.5, "require"]]);
}

function writer(random: Random) {
  const sizes = { bufferSize: random.pick(SIZES_OF_BUFFERS), writeBehind: random.between(1, 4) };
  return {
    place: random.weighted([[5, "start"], [2, "position"], [3, "append"], [1, "default"]]),
    position: random.chance(0.1) ? (9 << 20) + random.below(5000) : place(random),
    options: {
      ...(random.chance(0.1) ? {} : sizes),
      preallocate: random.chance(0.6),
      sizeHint: random.weighted([[3, 0], [1, 5000], [1, 100_000]]),
      syncOnClose: random.chance(0.8),
      closeFile: random.chance(0.5),
    },
    /** Waits until the writer knows its start. */
    waits: random.chance(0.5),
  };
}

/** The weight of each step, and its arguments. A program has `slots` places for files. */
const all = {
  // Files.
  create: [2.4, (random) => ({
    path: path(random),
    atomic: random.chance(0.35),
    read: random.chance(0.9),
    direct: direct(random),
  })],
  open: [2.4, (random) => {
    const append = random.chance(0.15);
    const write = append || random.chance(0.85);
    return {
      path: path(random),
      read: !write || random.chance(0.9),
      write,
      create: random.pick(["no", "yes", "yes", "new"]),
      truncate: !append && random.chance(0.2),
      /** Every write goes to the current end of the file. */
      append,
      direct: append ? "prefer" : direct(random),
    };
  }],
  temp: [0.3, () => ({})],
  "close file": [1.5, (random) => ({ twice: random.chance(0.2) })],
  "drop file": [0.3, () => ({})],
  rename: [0.7, (random) => ({ path: path(random) })],
  remove: [0.5, () => ({})],
  "sync file": [1, (random) => ({ dataOnly: random.chance(0.5) })],
  size: [0.5, (random) => ({ stats: random.chance(0.5) })],
  lock: [0.4, (random) => ({ exclusive: random.chance(0.5) })],
  unlock: [0.3, () => ({})],
  // Ranges.
  readAt: [2, (random) => ({
    position: place(random),
    length: size(random),
    aligned: random.chance(0.2),
  })],
  readMany: [0.6, (random) => ({
    ranges: Array.from({ length: random.below(6) }, () => [place(random), size(random)] as const),
    maxGap: random.pick([0, 4096, 1 << 20]),
    maxMerged: random.pick([4096, 100_000, 1 << 20]),
    concurrency: random.pick([1, 2, 16]),
    stopAfter: random.pick([1, 100]),
  })],
  writeAt: [2.5, (random) => ({
    block: random.below(12),
    blocks: random.below(4),
    buffer: random.chance(0.5),
    seed: random.seed(),
  })],
  truncate: [1.5, (random) => ({
    /** A length relative to the file's length. */
    to: {
      of: random.pick(["zero", "content", "size", "beyond"]),
      amount: random.pick([0, 1, 100, 512, 5000]),
    },
  })],
  preallocate: [1, (random) => ({ length: 1 + place(random), keepSize: random.chance(0.5) })],
  deallocate: [0.5, (random) => ({ position: place(random), length: 1 + size(random) })],
  copy: [2, (random, slots) => ({
    target: random.below(slots),
    position: place(random),
    length: size(random),
    block: random.below(12),
  })],
  // Writers.
  writer: [5, writer],
  write: [16, (random) => ({
    size: size(random),
    how: random.weighted([[6, "call"], [2, "lock"], [1, "buffer"], [2, "burst"]]),
    seed: random.seed(),
  })],
  "write nonsense": [0.5, () => ({})],
  flush: [1.5, (random) => ({ tail: random.chance(0.3) })],
  sync: [4, (random) => ({ tail: random.chance(0.5) })],
  "flush now": [2, (random) => ({ durable: random.chance(0.5) })],
  "end writer": [5, (random) => ({
    how: random.weighted([
      [5, "close"],
      [1, "lock"],
      [1, "dispose"],
      [2, "seal"],
      [3, "abort"],
      [1, "abort lock"],
      [1, "drop"],
    ]),
  })],
  // Readers.
  reader: [2, (random) => ({
    /** The file's own reader, with default options. */
    byDefault: random.chance(0.1),
    start: place(random),
    length: random.chance(0.5) ? Infinity : size(random),
    bufferSize: random.pick(SIZES_OF_BUFFERS),
    readAhead: random.below(5),
    closeFile: random.chance(0.2),
  })],
  read: [3, (random) => ({
    reads: random.between(1, 3),
    view: random.pick([0, 0, 100, 4096, 16_384]),
  })],
  skip: [1, (random) => ({ bytes: size(random) })],
  "end reader": [1.5, (random) => ({ how: random.pick(["cancel", "close", "read all", "drop"]) })],
  pipe: [2, (random, slots) => ({
    /** Another file's reader, or bytes of the program. */
    source: random.pick(["file", "program"]),
    from: random.below(slots),
    size: size(random),
    seed: random.seed(),
    preventClose: random.chance(0.3),
    preventAbort: random.chance(0.3),
    preventCancel: random.chance(0.3),
    /** A signal aborts the pipe after so many microseconds. */
    abortAfter: random.chance(0.2) ? random.below(3000) : undefined,
    /** The source fails after so many chunks. */
    failAfter: random.chance(0.2) ? random.below(4) : undefined,
  })],
  // Others.
  "another process": [1.5, (random) => ({
    what: random.weighted([
      [4, "append"],
      [4, "truncate"],
      [2, "rename"],
      [2, "remove"],
      [1, "replace"],
    ]),
    path: path(random),
    amount: size(random),
    seed: random.seed(),
  })],
  "change directory": [0.2, (random) => ({ directory: random.between(-1, 1) })],
  /** An uncaught error, after which the program continues. */
  crash: [0.4, () => ({})],
  sleep: [2, (random) => ({ microseconds: random.pick([0, 10, 500, 20_000]) })],
  join: [1, () => ({})],
} satisfies Record<string, [weight: number, draw: (random: Random, slots: number) => object]>;

type All = typeof all;

/** A step of some kind, with its arguments. */
export type Of<Name extends keyof All> = { readonly do: Name } & ReturnType<All[Name][1]>;

export type Action = { [Name in keyof All]: Of<Name> }[keyof All];

/** Draws the arguments of a step. */
export function draw(name: Action["do"], random: Random, slots: number): Action {
  return { do: name, ...all[name][1](random, slots) } as Action;
}

/** The weight of each step. */
export const weights: readonly (readonly [number, Action["do"]])[] = Object.entries(all)
  .map(([name, [weight]]) => [weight, name as Action["do"]]);

export interface Step {
  readonly id: number;
  readonly task: number;
  /** The slot of its file. */
  readonly slot: number;
  /** Whether the task waits for its end. */
  readonly awaited: boolean;
  readonly action: Action;
}

/** A program: the steps of several concurrent tasks. */
export interface Program {
  readonly steps: readonly Step[];
  readonly tasks: number;
  readonly slots: number;
  /** Whether it leaves its files open at the end of the process. */
  readonly endsOpen: boolean;
}

export function describeStep({ id, task, slot, awaited, action }: Step): string {
  const { do: what, ...rest } = action;
  const options = Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return `${id}: task ${task}, file ${slot}: ${what}${
    options.length ? `, ${options.join(", ")}` : ""
  }${awaited ? "" : ", not awaited"}`;
}
