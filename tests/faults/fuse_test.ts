// Every operation of ordinary work fails once, fails permanently, is shortened, or is delayed: for each kind of
// operation the first, the second, and so on, until a run meets no fault.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { namesIn } from "../support/bytes.ts";
import { firstWrong, firstWrongInFile } from "./content.ts";
import { type Fault, operations, serverTest } from "./fault_file_system.ts";
import { assertContent, assertIdle, within } from "./failed_writer.ts";
import { layOut, LENGTH, LONGER, type Outcome, outcomeOf, scenarios } from "./scenarios.ts";

const EIO = 5;
const ENOSPC = 28;

type Name = keyof typeof scenarios;

/** Failures that the work tolerates. All others must be reported. */
function isOptional(name: Name, { operation }: Fault): boolean {
  // Reserving space and moving the end of file ahead: the writes report the actual error.
  if (operation === "fallocate") return true;
  // Bytes that were read ahead of the end are not used.
  return operation === "read" && (name === "a reader" || name === "a copy from file to file");
}

/** Throws unless a piece of work in `folder` has reported its failure, or succeeded without one. */
async function assertTold(
  name: Name,
  outcome: Outcome,
  fault: Fault,
  folder: string,
): Promise<void> {
  const { error, flushed, synced } = outcome;
  const path = `${folder}/file`;
  const told = Deno.inspect(outcome);
  assert(outcome.sticky, `A later call gave another error: ${told}`);
  assertEquals(outcome.wrong, -1, told);
  if (!error) {
    if (fault.kind === "err") assert(isOptional(name, fault), `The failure was swallowed: ${told}`);
    await assertContent(path, name === "a writer inside a file" ? LONGER : LENGTH);
    if (name.includes("writer")) assert(flushed === LENGTH && synced > 0, told);
    if (name === "a reader") assertEquals(outcome.read, LENGTH);
    assertEquals((await namesIn(folder)).filter((name) => name !== "source"), ["file"]);
    return;
  }
  // The kernel turns a shortened asynchronous write into an error.
  const failed = fault.kind === "err" || fault.kind === "short" && fault.operation === "write";
  assert(failed, `Nothing failed, and still: ${told}`);
  assert(error.message.startsWith("Input/output error (os error 5): "), told);
  assert(error.code === "EIO" && error.op !== undefined && error.path !== undefined, told);
  if (name === "an atomic writer") return await assertOldOrWhole(fault, folder);
  // A reader writes nothing. If opening failed, there was no writer.
  if (name === "a reader" || name === "work on a file" || flushed === 0) return;
  assert(flushed >= synced, `Promised and not flushed: ${told}`);
  assertEquals(await firstWrongInFile(path, flushed), -1, "The first wrong byte");
  const { size } = await Deno.stat(path);
  if (name === "a writer inside a file") assertEquals(size, LONGER);
  // If the cut itself fails, the rest cannot be cut off.
  else if (fault.operation !== "truncate") assertEquals(size, flushed, "The length");
}

/** A failed atomic writer leaves the old file. After the rename only the sync of the directory can fail. */
async function assertOldOrWhole({ operation }: Fault, folder: string): Promise<void> {
  const bytes = await Deno.readFile(`${folder}/file`);
  const is = (length: number, seed: number) =>
    bytes.length === length && firstWrong(bytes, length, seed) < 0;
  const late = operation === "fsyncdir" || operation === "flush";
  assert(is(1000, 9) || late && is(LENGTH, 0), `${bytes.length} bytes, neither old nor whole`);
  // A temporary name that cannot be removed stays.
  if (operation !== "unlink") assertEquals(await namesIn(folder), ["file"]);
}

const kinds: Readonly<Record<string, Omit<Fault, "operation" | "nth">>> = {
  "fails once": { kind: "err", value: EIO },
  "fails from then on": { kind: "err", value: EIO, persistent: true },
  "is cut short by a few bytes": { kind: "short", value: 1000 },
  "moves nothing": { kind: "short", value: 0 },
  "is cut short to whole blocks": { kind: "short", value: 8192 },
  "takes its time": { kind: "delay", value: 15 },
};

for (const name of Object.keys(scenarios) as Name[]) {
  for (const [what, kind] of Object.entries(kinds)) {
    serverTest(`${name} tells the truth when any of its operations ${what}`, async (server) => {
      let runs = 0;
      for (const operation of kind.kind === "short" ? ["read", "write"] as const : operations) {
        for (let nth = 1;; nth++, runs++) {
          const fault: Fault = { operation, nth, ...kind };
          await server.reset();
          await layOut(scenarios[name], server.backing);
          await server.inject(fault);
          const working = outcomeOf(scenarios[name], server.path);
          const outcome = await within(20, `${operation} ${nth}`, working);
          if (await server.fired() === 0) {
            // The control: without a fault everything succeeds.
            assertEquals(outcome.error, undefined);
            break;
          }
          try {
            await assertTold(name, outcome, fault, server.backing);
            await assertIdle();
          } catch (cause) {
            throw new Error(`When ${operation} ${nth} ${what}`, { cause });
          }
        }
      }
      assert(runs > 1, "No fault fired");
    });
  }
}

serverTest("a failure that only closing shows is told by close()", async (server) => {
  await server.inject({ operation: "flush", nth: 1, kind: "err", value: ENOSPC });
  const { error } = await outcomeOf(scenarios["a writer of a new file"], server.path);
  assertEquals(await server.fired(), 1);
  const { code, op, path } = error!;
  assertEquals({ code, op, path }, { code: "ENOSPC", op: "close", path: `${server.path}/file` });
  await assertIdle();
});
