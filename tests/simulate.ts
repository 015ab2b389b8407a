// Runs random user programs on a simulated kernel, and checks the module's contract at every operation: see README.md.

import { parseArgs } from "node:util";
import { controls } from "./simulator/controls.ts";
import { Runner } from "./simulator/run/runner.ts";
import { commandOf, findControls, simulateInWorkers, tallyText } from "./simulator/run/workers.ts";

function read() {
  return parseArgs({
    args: Deno.args,
    allowPositionals: Deno.args.includes("--controls"),
    options: {
      minutes: { type: "string", default: "1" },
      seed: { type: "string" },
      steps: { type: "string" },
      real: { type: "string" },
      trace: { type: "boolean", default: false },
      controls: { type: "boolean", default: false },
    },
  });
}

/** Runs one program here. Returns whether it kept every promise. */
async function runOne(seed: number, { steps, real, trace }: ReturnType<typeof read>["values"]) {
  const wanted = steps?.split(",").map(Number);
  const runner = await Runner.load([], real);
  const result = await runner.run(seed, wanted, trace ? console.log : undefined);
  console.log(tallyText(result));
  if (result.failure) console.log(result.failure);
  return !result.failure;
}

/** Runs new programs. Returns whether all of them kept every promise. */
async function runMany(minutes: number, real: string | undefined): Promise<boolean> {
  const first = Math.floor(Math.random() * 2 ** 40);
  console.log(`Seeds from ${first} on, for ${minutes} minutes`);
  const milliseconds = minutes * 60_000;
  const { tally, failures } = await simulateInWorkers({ seeds: first, milliseconds, real });
  for (const each of failures) console.log(`\n${each.message}\n  ${commandOf(each, real)}`);
  const perMinute = Math.round(tally.operations / minutes).toLocaleString("en");
  console.log(`${tallyText(tally)}; ${perMinute} operations a minute`);
  console.log(failures.length === 0 ? "Every promise was kept" : `${failures.length} failed`);
  return failures.length === 0;
}

/** Searches for deliberate mistakes. Returns whether all of them were found. */
async function runControls(minutes: number, words: readonly string[]): Promise<boolean> {
  const chosen = controls.filter(({ name }) => words.every((word) => name.includes(word)));
  if (chosen.length === 0) throw new TypeError(`No mistake has the name ${words.join(" ")}`);
  let missed = 0;
  console.log(
    "| The module … | Found after operations | Broken promise | Seed |\n| --- | --- | --- | --- |",
  );
  await findControls(chosen, minutes * 60_000, ({ name }, { tally, failures: [failure] }) => {
    if (!failure) missed++;
    const found = failure ? tally.operations.toLocaleString("en") : "not found";
    const broken = failure?.promise ?? failure?.message ?? "";
    console.log(`| ${name} | ${found} | ${broken} | ${failure?.seed ?? ""} |`);
  });
  console.log(missed === 0 ? "All were found" : `${missed} were not found`);
  return missed === 0;
}

if (import.meta.main) {
  const { values, positionals } = read();
  const { minutes, seed, real } = values;
  const kept = values.controls
    ? await runControls(Number(minutes), positionals)
    : seed === undefined
    ? await runMany(Number(minutes), real)
    : await runOne(Number(seed), values);
  Deno.exit(kept ? 0 : 1);
}
