// A job of jobs.ts: uses, renames and removes files while names are swapped, before each call to the kernel in turn.

import { DmaFile } from "../../../mod.ts";
import { engineAtWork, useEngine } from "../../../src/configure.ts";

let inside = "";

/** The bytes of every file inside. */
const INSIDE = 7;

function check(bytes: Uint8Array): void {
  if (!bytes.every((byte) => byte === INSIDE)) throw new Error("Bytes from outside");
}

async function write(file: DmaFile): Promise<void> {
  const buffer = file.allocBuffer(1);
  buffer.bytes.fill(INSIDE);
  await file.writeAt(buffer, 0);
}

async function make(path: string, work: (file: DmaFile) => Promise<void>, atomic = false) {
  await using file = await DmaFile.create(`${inside}/${path}`, { atomic });
  await work(file);
}

/** The swapped name and the work with it. */
const cases: Readonly<Record<string, readonly [name: string, work: () => Promise<void>]>> = {
  read: ["link", async () => {
    await using file = await DmaFile.open(`${inside}/link`);
    check(await file.readAt(0, 100));
  }],
  empty: ["link", () => make("link", write)],
  make: ["folder", () => make("folder/new", write)],
  atomic: ["folder", () => make("folder/atomic", write, true)],
  rename: ["folder", () => make("source", (file) => file.rename(`${inside}/folder/renamed`))],
  remove: ["folder", () => make("folder/secret", (file) => file.remove())],
  replaced: ["file", () => make("file", (file) => file.remove().catch(() => {}))],
};

/** Exchanges a name and the name with ".other". Either may be missing. */
function exchange(name: string): void {
  const [one, moved, other] = ["", ".moved", ".other"].map((end) => `${inside}/${name}${end}`);
  for (const [from, to] of [[one, moved], [other, one], [moved, other]]) {
    try {
      Deno.renameSync(from!, to!);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Calls `before` before each call of the engine that reaches the kernel. */
function intercept(before: () => void): void {
  useEngine();
  const engine = engineAtWork()!;
  for (const name of ["submit", "runNow", "realPath", "setFlags"] as const) {
    const real = engine[name] as (...args: unknown[]) => unknown;
    const value = (...args: unknown[]) => {
      before();
      return real.apply(engine, args);
    };
    Object.defineProperty(engine, name, { value });
  }
}

/** Tells how often each case was done with a swap, and how often it was refused with which error. */
export async function swapped(directory: string) {
  inside = directory;
  let [swapsAt, swapsBack, calls, isSwapped] = [0, false, 0, false];
  let swapped = "";
  intercept(() => {
    if (calls === swapsAt || (isSwapped && swapsBack)) {
      exchange(swapped);
      isSwapped = !isSwapped;
    }
    calls++;
  });
  const found: Record<string, Record<string, number>> = {};
  for (const [name, [target, work]] of Object.entries(cases)) {
    const outcomes: Record<string, number> = found[name] = {};
    swapped = target;
    // Each swap lasts for one call, or until the end.
    for (swapsBack of [true, false]) {
      for (swapsAt = 0, calls = 1; swapsAt < calls; swapsAt++) {
        calls = 0;
        const outcome = await work().then(() => "done", (error) => {
          if (error.message === "Bytes from outside") throw error;
          return error.name;
        });
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        if (isSwapped) exchange(target);
        isSwapped = false;
      }
    }
  }
  return found;
}
