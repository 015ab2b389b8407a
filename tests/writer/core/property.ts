// Any calls in any order, with operations that end in any order, early or with an error: against a model that is
// nothing but what was promised.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { turn } from "../../support/scripted_engine.ts";
import { type Plan, randomPlan } from "../../support/scripted_operation.ts";
import { type Checks, type Core, oldContent, Rig, type RigOptions } from "./rig.ts";

/** Cases tried. */
const RUNS = 1000;

type Action =
  | { do: "write"; length: number }
  | { do: "sync" | "tail" | "flush" | "room" | "turn" }
  | { do: "end one"; times: number };

interface Case {
  options: RigOptions;
  actions: Action[];
  /** How it ends. An abort may come while finish is on its way, after so many operations. */
  end: "finish" | "finish without sync" | "abort" | { abortAfter: number };
  seed: number;
  short: number;
  fail: number;
}

const actions: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("write" as const), length: fc.nat(3000) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom("sync" as const, "tail" as const, "tail" as const, "flush" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("room" as const, "turn" as const) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("end one" as const),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
);

const options: fc.Arbitrary<RigOptions> = fc.record({
  size: fc.oneof(fc.constant(0), fc.nat(9000)),
  start: fc.oneof(fc.constant(0), fc.nat(5000)),
  buffer: fc.integer({ min: 1, max: 8 }),
  writeBehind: fc.integer({ min: 1, max: 4 }),
  preallocate: fc.boolean(),
  sizeHint: fc.oneof(fc.constant(0), fc.nat(40_000)),
  unsynced: fc.boolean(),
}).map(({ size, start, buffer, ...rest }) => ({
  ...rest,
  content: oldContent(size),
  start: Math.min(start, size),
  bufferSize: buffer * 512,
}));

const cases: fc.Arbitrary<Case> = fc.record({
  options,
  actions: fc.array(actions, { maxLength: 40 }),
  end: fc.oneof(
    fc.constantFrom("finish" as const, "finish without sync" as const, "abort" as const),
    fc.record({ abortAfter: fc.nat(8) }),
  ),
  seed: fc.nat(),
  short: fc.constantFrom(0, 0.2, 0.5),
  fail: fc.constantFrom(0, 0, 0.05, 0.2),
});

async function act(rig: Rig, action: Action, plan: Plan): Promise<void> {
  switch (action.do) {
    case "write":
      rig.write(action.length);
      return;
    case "sync":
      rig.sync();
      return;
    case "tail":
      rig.sync(true);
      return;
    case "flush":
      rig.flush();
      return;
    case "room":
      rig.call("room", rig.core.room());
      return;
    case "turn":
      await turn();
      return;
    case "end one":
      // Without a turn between: that is how completions come from a ring.
      for (let count = 0; count < action.times; count++) rig.engine.step(plan);
  }
}

async function tryCase(Core: Core, { options, actions, end, seed, short, fail }: Case) {
  const rig = await Rig.make(Core, options);
  const plan = randomPlan(seed, { short, fail });
  for (const action of actions) await act(rig, action, plan);
  const reason = new Error("aborted");
  if (end === "abort") {
    await assertAborted(rig, plan, reason);
  } else if (typeof end === "object") {
    const finished = rig.call("finish", rig.core.finish(true));
    for (let count = 0; count < end.abortAfter; count++) await rig.step(plan);
    // What has begun to end comes to its end, unless something fails.
    await rig.engine.drive(rig.core.abort(reason), plan);
    await rig.engine.drain(plan);
    if (finished.state === "resolved") assertFinished(rig, true);
    else await assertAborted(rig, plan, reason);
  } else {
    const durable = end === "finish";
    const finished = rig.call("finish", rig.core.finish(durable));
    await rig.engine.drain(plan);
    if (finished.state === "resolved") assertFinished(rig, durable);
    else await assertAborted(rig, plan, reason);
  }
}

/** Everything is in the file, and nothing else. */
function assertFinished(rig: Rig, durable: boolean): void {
  assertEquals(rig.failures, []);
  assertEquals(rig.core.flushedPosition, rig.core.position);
  for (const { name, state } of rig.calls) {
    assertEquals(state, name === "room" && state === "rejected" ? "rejected" : "resolved", name);
  }
  rig.assertQuiet();
  rig.assertFile();
  const file = rig.engine.file(rig.fd);
  if (durable) assertEquals(file.durable, file.content(), "durable");
}

/** Everything that is flushed is in the file, and nothing else; the first failure is what everyone got. */
async function assertAborted(rig: Rig, plan: Plan, reason: Error): Promise<void> {
  const { core, engine } = rig;
  const cut = await engine.drive(core.abort(reason), plan);
  await engine.drain(plan);
  rig.check();
  const error = rig.failures[0] ?? reason;
  assert(core.error === error, `${core.error} is not the first failure`);
  for (const { name, state, value } of rig.calls) {
    if (state !== "rejected" || name === "room") continue;
    assert(value === error, `${name} rejects with ${value}, not with ${error}`);
  }
  rig.assertQuiet();
  if (!cut) rig.assertCut();
  await rig.assertSticky(error);
}

export const property = {
  async "any calls, with operations that end in any way, leave what was promised"(Core) {
    const run = fc.asyncProperty(cases, (each) => tryCase(Core, each));
    await fc.assert(run, { numRuns: RUNS, includeErrorInReport: true });
  },
} satisfies Checks;
