// Every single operation of ordinary work fails once, fails for ever, is cut short, or takes its time: for each kind
// of operation the first, the second, and so on, until a run meets no fault any more.

import "../support/engine.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { content, firstWrong, firstWrongInFile } from "./content.ts";
import { type Fault, type FaultFileSystem, operations, serverTest } from "./fault_file_system.ts";
import { assertIdle, within } from "./failed_writer.ts";
import { copyModule, type Replacement } from "./module_copy.ts";
import { type ProgramOptions, resultOf } from "./programs.ts";
import { LENGTH, type Outcome, scenarios } from "./scenarios.ts";

const EIO = 5;
const OLD = 9;

/** What is there before a piece of work begins. */
async function layOut(name: string, { backing }: FaultFileSystem): Promise<void> {
  if (name === "a writer inside a file") {
    await Deno.writeFile(`${backing}/file`, content(0, LENGTH + 5000));
  } else if (name === "a reader" || name === "work on a file") {
    await Deno.writeFile(`${backing}/file`, content(0, LENGTH));
  } else if (name === "an atomic writer") {
    await Deno.writeFile(`${backing}/file`, content(0, 1000, OLD));
  } else if (name === "a copy from file to file") {
    await Deno.writeFile(`${backing}/source`, content(0, LENGTH));
  }
}

/** Failures that the work can do without. All others must be told. */
function isOptional(name: string, { operation }: Fault): boolean {
  // Reserving space and moving the end of file ahead: the writes will say what is really wrong.
  if (operation === "fallocate") return true;
  // What was read ahead of the end is wanted by nobody.
  return operation === "read" && (name === "a reader" || name === "a copy from file to file");
}

/** Checks what a piece of work left behind. */
async function assertTold(
  name: string,
  outcome: Outcome,
  fault: Fault,
  { backing }: FaultFileSystem,
): Promise<void> {
  const { error } = outcome;
  const path = `${backing}/file`;
  const told = Deno.inspect(outcome);
  assert(outcome.sticky, `A later call gave another error: ${told}`);
  assertEquals(outcome.wrong, -1, told);
  if (!error) {
    if (fault.kind === "err") assert(isOptional(name, fault), `The failure was swallowed: ${told}`);
    return await assertDone(name, outcome, backing);
  }
  // Of a write that is cut short the kernel makes an error by itself where it is asynchronous.
  const failed = fault.kind === "err" || fault.kind === "short" && fault.operation === "write";
  assert(failed, `Nothing failed, and still: ${told}`);
  assertEquals(error.code, "EIO", told);
  assert(error.message.startsWith("Input/output error (os error 5): "), told);
  assert(error.op !== undefined && error.path !== undefined, told);
  if (name === "an atomic writer") {
    await assertOldOrWhole(fault, backing);
  } else if (name.startsWith("a writer") || name === "a copy from file to file") {
    await assertCut(name, outcome, fault, path);
  }
}

async function assertDone(
  name: string,
  { flushed, synced, read }: Outcome,
  backing: string,
): Promise<void> {
  const length = name === "a writer inside a file" ? LENGTH + 5000 : LENGTH;
  const bytes = await Deno.readFile(`${backing}/file`);
  assertEquals(bytes.length, length);
  assertEquals(firstWrong(bytes, length), -1);
  if (name.includes("writer")) assertEquals(flushed, LENGTH);
  if (name.includes("writer")) assert(synced > 0);
  if (name === "a reader") assertEquals(read, LENGTH);
  const names = [...Deno.readDirSync(backing)].map(({ name }) => name).filter((name) =>
    name !== "source"
  );
  assertEquals(names, ["file"]);
}

/** What a failed writer leaves: right as far as was flushed, and no longer than that. */
async function assertCut(
  name: string,
  { flushed, synced, error }: Outcome,
  fault: Fault,
  path: string,
): Promise<void> {
  const size = await Deno.stat(path).then(({ size }) => size, () => 0);
  // Opening failed: there was no writer.
  if (error!.op === "open" || flushed === 0) return;
  assert(flushed >= synced, `${flushed} bytes are flushed, and ${synced} were promised`);
  assertEquals(await firstWrongInFile(path, flushed), -1, "The first wrong byte");
  if (name === "a writer inside a file") return assertEquals(size, LENGTH + 5000);
  // Where cutting is what fails, the rest cannot be cut off.
  if (fault.operation !== "truncate") assertEquals(size, flushed, "The length");
}

/** What a failed atomic writer leaves: the old file. Once it is renamed, only the directory can still fail. */
async function assertOldOrWhole(fault: Fault, backing: string): Promise<void> {
  const bytes = await Deno.readFile(`${backing}/file`);
  const isOld = bytes.length === 1000 && firstWrong(bytes, 1000, OLD) < 0;
  const isWhole = bytes.length === LENGTH && firstWrong(bytes, LENGTH) < 0;
  const late = fault.operation === "fsyncdir" || fault.operation === "flush";
  assert(isOld || late && isWhole, `${bytes.length} bytes, neither old nor whole`);
  const names = [...Deno.readDirSync(backing)].map(({ name }) => name);
  // A temporary name that cannot be removed stays.
  if (fault.operation !== "unlink") assertEquals(names, ["file"]);
}

const kinds: Readonly<Record<string, Omit<Fault, "operation" | "nth">>> = {
  "fails once": { kind: "err", value: EIO },
  "fails from then on": { kind: "err", value: EIO, persistent: true },
  "is cut short by a few bytes": { kind: "short", value: 1000 },
  "moves nothing": { kind: "short", value: 0 },
  "is cut short to whole blocks": { kind: "short", value: 8192 },
  "takes its time": { kind: "delay", value: 15 },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  for (const [what, kind] of Object.entries(kinds)) {
    serverTest(`${name} tells the truth when any of its operations ${what}`, async (faulty) => {
      let runs = 0;
      for (const operation of operations) {
        if (kind.kind === "short" && operation !== "read" && operation !== "write") continue;
        for (let nth = 1;; nth++) {
          await faulty.reset();
          await layOut(name, faulty);
          const fault: Fault = { operation, nth, ...kind };
          await faulty.inject(fault);
          const outcome = await within(20, `${operation} ${nth}`, scenario(faulty.path));
          if (await faulty.fired() === 0) {
            // The control: without a fault all goes well.
            assertEquals(outcome.error, undefined);
            break;
          }
          runs++;
          try {
            await assertTold(name, outcome, fault, faulty);
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

serverTest(
  "a failure that only closing the descriptor shows is told by close()",
  async (faulty) => {
    await faulty.inject({ operation: "flush", nth: 1, kind: "err", value: 28 });
    const outcome = await scenarios["a writer of a new file"]!(faulty.path);
    assertEquals(await faulty.fired(), 1);
    assertEquals(outcome.error?.code, "ENOSPC");
    assertEquals(outcome.error?.op, "close");
    assertEquals(outcome.error?.path, `${faulty.path}/file`);
    await assertIdle();
  },
);

/** Writers that are wrong, and the fault that shows it. */
const mutants: readonly { name: string; fault: Fault; replacements: readonly Replacement[] }[] = [
  {
    name: "takes a short write for a whole one",
    fault: { operation: "write", nth: 2, kind: "short", value: 8192 },
    replacements: [
      {
        file: "src/file/transfer.ts",
        from: "if (reached >= this.#range.length) this.#end",
        to: 'if (reached >= this.#range.length || this.#op === "write") this.#end',
      },
    ],
  },
  {
    name: "tries a failed sync again",
    fault: { operation: "fsync", nth: 1, kind: "err", value: EIO },
    replacements: [{
      file: "src/file/durability.ts",
      from: "this.#noteResult(result);\n      if (!this",
      to:
        'if (result < 0) return engine.submit({ op: "sync", fd, dataOnly }, { complete });\n      this.#noteResult(result);\n      if (!this',
    }],
  },
];

for (const { name, fault, replacements } of mutants) {
  serverTest(`the check fails for a writer that ${name}`, async (faulty) => {
    const directory = faulty.path.slice(0, faulty.path.lastIndexOf("/"));
    const module = await copyModule(`${directory}/module`, replacements);
    const scenario = "a writer of a new file";
    // A write is seen as short by those who wait for it: the kernel makes an error of an asynchronous one.
    const options = { args: [scenario, faulty.path], env: { DMA_ENGINE: "threads" } };
    const outcomeOf = async (options: ProgramOptions) => {
      await faulty.reset();
      await faulty.inject(fault);
      const outcome = await resultOf<Outcome>("scenario", options);
      assertEquals(await faulty.fired(), 1);
      return outcome;
    };
    await assertTold(scenario, await outcomeOf(options), fault, faulty);
    const outcome = await outcomeOf({ ...options, module });
    await assertRejects(() => assertTold(scenario, outcome, fault, faulty));
  });
}
