// All steps of programs.

import type { Random } from "../random.ts";
import { openingSteps, syncSteps } from "./file_steps.ts";
import { nameSteps } from "./name_steps.ts";
import { otherSteps } from "./other_steps.ts";
import { pipe } from "./pipe_steps.ts";
import { rangeSteps } from "./range_steps.ts";
import { readerSteps } from "./reader_steps.ts";
import type { Over, Session } from "./session.ts";
import type { Perform } from "./step.ts";
import { endWriterStep } from "./writer_end_steps.ts";
import { writerSteps } from "./writer_steps.ts";

// The order decides which program a seed makes.
const all = {
  ...openingSteps,
  ...nameSteps,
  ...syncSteps,
  ...rangeSteps,
  ...writerSteps,
  "end writer": endWriterStep,
  ...readerSteps,
  pipe,
  ...otherSteps,
};

type All = typeof all;

export type Of<Name extends keyof All> = { readonly do: Name } & ReturnType<All[Name]["draw"]>;

export type Action = { [Name in keyof All]: Of<Name> }[keyof All];

export function draw<Name extends Action["do"]>(name: Name, random: Random, slots: number) {
  return { do: name, ...all[name].draw(random, slots) } as Extract<Action, { do: Name }>;
}

export const weights = Object.entries(all)
  .map(([name, { weight }]) => [weight, name as Action["do"]] as const);

export interface Step {
  readonly id: number;
  readonly task: number;
  readonly slot: number;
  /** Whether the task waits for its end. */
  readonly awaited: boolean;
  readonly action: Action;
}

export function perform(session: Session, { slot, action }: Step): Over {
  const { do: name, ...args } = action;
  return (all[name].perform as Perform<object>)(session.slots[slot]!, args);
}

export function describeStep({ id, task, slot, awaited, action }: Step): string {
  const { do: what, ...rest } = action;
  const options = Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => `, ${name} ${JSON.stringify(value)}`);
  const end = awaited ? "" : ", not awaited";
  return `${id}: task ${task}, file ${slot}: ${what}${options.join("")}${end}`;
}
