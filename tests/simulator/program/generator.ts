// Generates programs: calls of users on files and streams, in any order.

import type { Random } from "../random.ts";
import { NAMES } from "./step.ts";
import { type Action, draw, type Of, type Step, weights } from "./steps.ts";

/** The steps that put a file into a slot. */
const OPENING = weights.filter(([, name]) => ["create", "open", "temp"].includes(name));

/** The names that a program uses: with few names the calls collide. */
function limitsOf(random: Random): (action: Action) => Action {
  const directories = random.between(1, 2);
  const names = random.pick([1, 2, 3]);
  return (action) => {
    if (!("path" in action)) return action;
    const { path } = action;
    const name = NAMES[NAMES.indexOf(path.name) % names]!;
    return { ...action, path: { ...path, directory: path.directory % directories, name } };
  };
}

/** The steps that may run while a writer ends. */
const late: readonly ((random: Random) => Action)[] = [
  (random) => ({ do: "flush now", durable: random.chance(0.7) }),
  (random) => ({ do: "sync", tail: random.chance(0.5) }),
  () => ({ do: "end writer", how: "abort" }),
  () => ({ do: "close file", twice: false }),
  () => ({ do: "crash" }),
];

function writing(random: Random, slots: number): Action[] {
  const writer = draw("writer", random, slots);
  const options = { ...writer.options, closeFile: false };
  return [{ ...writer, place: "start", options }, draw("write", random, slots)];
}

/** A rare combination: another process changes a known file before its writer begins. */
function meetingOthers(random: Random, slots: number, path: Of<"open">["path"]): Action[] {
  const close: Action = { do: "end writer", how: "close" };
  const amount = random.pick([0, 1, 100, 600, 5000]);
  const other = { do: "another process", path, amount, seed: random.seed() } as const;
  // At the end of the program there is nothing to write, only a cut.
  const end: Action[] = [{ do: "flush now", durable: true }, { do: "crash" }, close];
  const last = [...writing(random, slots), ...(random.chance(0.3) ? end : [])];
  if (random.chance(0.5)) return [{ ...other, what: "truncate" }, ...last];
  // Small buffers, several of them in flight.
  const buffers = { bufferSize: 512, readAhead: 4, closeFile: false };
  return [
    ...writing(random, slots),
    close,
    { do: "reader", byDefault: false, start: 0, length: Infinity, ...buffers },
    { do: "end reader", how: "read all" },
    { ...other, what: "append" },
    { do: "preallocate", length: 10_000 + random.below(20_000), keepSize: false },
    ...last,
  ];
}

/** Two handles of one file: one writes below the writer of the other, which starts behind the end. */
function meetingBelow(random: Random, slots: number): [slot: number, action: Action][] {
  const opening = draw("open", random, slots);
  const open: Action = { ...opening, write: true, create: "yes", truncate: false, append: false };
  const writer = draw("writer", random, slots);
  const options = { ...writer.options, bufferSize: 512, writeBehind: 4, closeFile: false };
  const position = 20_480 + random.below(5000);
  const to = { of: "zero", amount: random.pick([0, 100, 5000]) } as const;
  const [seed, block] = [random.seed(), 1 + 2 * random.below(3)];
  return [
    [0, open],
    [1, open],
    [1, { do: "truncate", to }],
    [0, { ...writer, place: "position", position, options, waits: true }],
    // Two buffers are in flight.
    [0, { do: "write", size: 1100, how: "call", seed }],
    [1, { do: "writeAt", block, blocks: 1, buffer: false, seed: seed + 1 }],
    [1, draw("sync file", random, slots)],
  ];
}

/** A program of some dozens of steps. In some programs `beside` draws steps of other processes between them. */
export function generate(random: Random, beside: Random) {
  const tasks = random.between(1, 3);
  const slots = random.between(1, 3);
  const steps: Step[] = [];
  const unawaited = random.pick([0, 0.2, 0.6]);
  const limits = limitsOf(random);
  const add = (slot: number, task: number, ...actions: Action[]) => {
    for (const action of actions) {
      const awaited = !random.chance(unawaited);
      steps.push({ id: steps.length, task, slot, awaited, action: limits(action) });
    }
  };
  const hasOthers = beside.chance(0.3);
  if (!hasOthers && slots > 1 && beside.chance(0.2)) {
    for (const [slot, action] of meetingBelow(beside, slots)) add(slot, 0, action);
  }
  const addOpening = (slot: number, task: number) => {
    const opening = draw(random.weighted(OPENING), random, slots);
    add(slot, task, opening);
    if (hasOthers && "path" in opening) {
      add(slot, task, ...meetingOthers(beside, slots, opening.path));
    }
    if (random.chance(0.7)) add(slot, task, draw("writer", random, slots));
  };
  for (let slot = 0; slot < slots; slot++) addOpening(slot, slot % tasks);
  const length = random.between(5, 60);
  // Each program prefers some steps and omits others, so that rare combinations are frequent in some programs.
  const chosen = weights.map(([weight, name]) =>
    [weight * random.pick([0, 0.5, 1, 1, 4]), name] as const
  );
  for (let count = 0; count < length; count++) {
    const slot = random.below(slots);
    const task = random.below(tasks);
    const action = draw(random.weighted(chosen), random, slots);
    add(slot, task, action);
    // Calls during an end are rare, and interesting.
    const ends = action.do === "end writer" || action.do === "pipe";
    if (ends && random.chance(0.35)) add(slot, task, random.pick(late)(random));
    // Most steps do nothing without a file and a writer.
    const closes = ends || action.do === "close file" || action.do === "drop file";
    if (!closes || random.chance(0.3)) continue;
    addOpening(slot, task);
  }
  /** Whether it leaves its files open at the end of the process. */
  const endsOpen = random.chance(0.3);
  return { steps, tasks, slots, endsOpen };
}
