// Prints, as JSON, what src/core/open.ts asks the kernel for on the architecture that is given as the argument: its
// numbers are settled when it is loaded, so each architecture needs a process of its own.

import type { Engine } from "../../../src/engine/engine.ts";

const [architecture] = Deno.args;
Object.assign(Deno, { build: { ...Deno.build, arch: architecture } });
const { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY } = await import(
  "../../../src/engine/linux.ts"
);
const { openHandle } = await import("../../../src/core/open.ts");

/** Refuses to open, and remembers with which flags it was asked to. */
async function flagsOf(wanted: Partial<Parameters<typeof openHandle>[2]>): Promise<number> {
  let seen: number | undefined;
  const engine: Pick<Engine, "submit"> = {
    submit(operation, completion) {
      if (operation.op === "open") seen ??= operation.flags;
      queueMicrotask(() => completion.complete(-5));
    },
  };
  await openHandle(engine as Engine, "/some/file", {
    read: true,
    write: false,
    create: false,
    createNew: false,
    truncate: false,
    mode: 0o666,
    direct: "prefer",
    ...wanted,
  }).catch(() => {});
  if (seen === undefined) throw new Error("The engine was not asked to open");
  return seen;
}

console.log(JSON.stringify({
  O_RDONLY,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  reading: await flagsOf({}),
  creating: await flagsOf({ write: true, createNew: true }),
  unnamed: await flagsOf({ write: true, unnamed: true }),
  throughPageCache: await flagsOf({ direct: "off" }),
}));
