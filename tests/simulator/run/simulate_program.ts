// Runs one program on a simulated kernel, where its seed determines everything.

import { setImmediate } from "node:timers";
import { type KernelOptions, SimulatedKernel } from "../kernel/simulated_kernel.ts";
import { Oracle } from "../oracle/oracle.ts";
import { violate } from "../oracle/promises.ts";
import { forgetAll } from "../program/finalizers.ts";
import { closeFile } from "../program/file_steps.ts";
import { generate } from "../program/generator.ts";
import { endProcess } from "../program/program_end_steps.ts";
import { endReader } from "../program/reader_steps.ts";
import { type ModuleUnderTest, Session } from "../program/session.ts";
import { describeStep, perform, type Step } from "../program/steps.ts";
import { endWriter } from "../program/writer_end_steps.ts";
import { Random } from "../random.ts";

/** More events than any program has. A program that needs more loops. */
const MOST_EVENTS = 300_000;

export interface Tally {
  programs: number;
  operations: number;
  faults: number;
  cuts: number;
}

export function addTally(sum: Tally, more: Tally): Tally {
  for (const name of ["programs", "operations", "faults", "cuts"] as const) sum[name] += more[name];
  return sum;
}

export interface SimulationResult extends Tally {
  readonly steps: readonly number[];
  readonly failure: Error | undefined;
}

/** Resolves when every microtask has run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export interface SimulationOptions extends Pick<KernelOptions, "mirror" | "trace"> {
  readonly seed: number;
  /** Some steps of the seed's program; undefined for all. */
  readonly steps: readonly number[] | undefined;
  readonly module: ModuleUnderTest;
}

/** Runs the program of a seed. With a real file system there are no faults, and no other processes. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed, module, mirror, trace } = options;
  const random = new Random(seed);
  const program = generate(random.fork(), new Random(-seed));
  const steps = program.steps.filter(({ id, action }) =>
    (options.steps?.includes(id) ?? true) && !(mirror && action.do === "another process")
  );
  const violated = (rule: string) => oracle.guard(() => violate("engine", rule));
  const world = new SimulatedKernel({
    random: random.fork(),
    faulty: random.chance(0.8) && !mirror,
    violated,
    trace,
    mirror,
  });
  const oracle = new Oracle(world, random.fork());
  module.substituteEngine(world);
  const session = new Session(world, oracle, module, program.slots, trace);
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    oracle.guard(() => {
      if (session.endsNow) return session.explain("the end", { misuse: true }, event.reason);
      violate("errors", `a rejection that nobody handles: ${event.reason}`);
    });
  };
  globalThis.addEventListener("unhandledrejection", onRejection);
  const pace = random.fork();
  const run = async () => {
    const moments = pace.seed();
    const tasks = Array.from({ length: program.tasks }, (_, task) => {
      return runTask(session, steps.filter((step) => step.task === task), moments);
    });
    await Promise.all(tasks);
    if (random.chance(0.5)) world.faults.cease();
    trace?.("  the end of the program");
    if (program.endsOpen) await endProcess(session);
    await endAll(session, pace);
  };
  try {
    await drive(run(), session, random.fork());
    oracle.guard(() => {
      for (const { oracle: writer } of session.dropped) writer.gaveUp(session.cutsAreSure);
      oracle.finish();
    });
  } catch (error) {
    oracle.violation ??= error as Error;
  } finally {
    globalThis.removeEventListener("unhandledrejection", onRejection);
    world.dispose();
    forgetAll();
    module.substituteEngine(undefined);
  }
  const { operations, faults: { count: faults } } = world;
  const counts = { programs: 1, operations, faults, cuts: oracle.cuts };
  return { ...counts, steps: steps.map(({ id }) => id), failure: oracle.violation };
}

/** Advances time until everything has ended. */
async function drive(running: Promise<void>, session: Session, random: Random): Promise<void> {
  const { world: { clock }, oracle, pending } = session;
  let end: { readonly failure?: unknown } | undefined;
  running.then(() => end = {}, (failure) => end = { failure });
  for (let events = 0;; events++) {
    await turn();
    if (end?.failure) throw end.failure;
    if (oracle.violation) return;
    let heard: boolean | undefined = false;
    // Several completions may be reaped at once, before any microtask runs.
    while (heard === false || (heard && random.chance(0.25))) heard = clock.step();
    if (heard !== undefined) {
      if (events > MOST_EVENTS) violate("errors", "operations go on for ever");
      continue;
    }
    // Some work is deferred until the event loop has turned.
    await turn();
    await turn();
    if (clock.events.length > 0) continue;
    if (end) return;
    if (session.idle) {
      session.idle();
      session.idle = undefined;
      continue;
    }
    const names = [...pending].map(({ name }) => name).join(", ");
    violate("errors", `nothing is in flight, and these never settle: ${names}`);
  }
}

async function runTask(session: Session, steps: readonly Step[], seed: number): Promise<void> {
  const under: Promise<void>[] = [];
  for (const step of steps) {
    // Derived from the step alone, so that omitting a step does not change the moments of the others.
    const random = new Random(seed + step.id);
    // Most steps follow at once. Others come at any moment of the running operations.
    if (random.chance(0.4)) await session.world.clock.sleep(random.next() ** 3 * 2000);
    if (session.oracle.violation) return;
    session.trace?.(`  ${describeStep(step)}`);
    const over = Promise.resolve(perform(session, step));
    if (step.action.do === "join") await Promise.all(under.splice(0));
    else if (step.awaited) await over;
    else under.push(over);
  }
  await Promise.all(under);
}

async function endAll(session: Session, random: Random): Promise<void> {
  for (const slot of session.slots) {
    if (slot.reader) await endReader(slot, { how: "close" });
    const { writer } = slot;
    const how = writer && random.pick(["close", "abort"]);
    if (how && !writer.oracle.end) await endWriter(writer, { how });
    if (slot.handle) await closeFile(slot.handle, { twice: false }, slot);
  }
}
