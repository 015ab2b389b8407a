// Prints, as JSON, the flags with which src/file/open.ts opens on the architecture in the argument. Its numbers are
// fixed when it is loaded, so each architecture needs a separate process.

import type { Completion, Operation } from "../../../src/engine/operation.ts";
import type { Directory } from "../../../src/file/directory.ts";

const [architecture] = Deno.args;
Object.assign(Deno, { build: { ...Deno.build, arch: architecture } });
const linux = await import("../../../src/engine/linux.ts");
const { FileName } = await import("../../../src/file/file_name.ts");
const { openName } = await import("../../../src/file/open.ts");

const DIRECTORY = 3;

/** Refuses every open, and records its flags. */
async function flagsOf(wanted: Partial<Parameters<typeof openName>[1]>): Promise<number> {
  let seen: number | undefined;
  const engine = {
    submit(operation: Operation, completion: Completion) {
      if (operation.op === "open" && operation.directory === DIRECTORY) seen ??= operation.flags;
      queueMicrotask(() => completion.complete(-5));
    },
  };
  const facts = { deviceMajor: 8 };
  const directory = { engine, facts, fd: DIRECTORY, prepareSync: async () => {}, release() {} };
  const name = new FileName(directory as unknown as Directory, "file", "/some/file");
  const reading = { read: true, write: false, create: false, createNew: false, truncate: false };
  const usual = { append: false, mode: 0o666, direct: "prefer", unnamed: false } as const;
  await openName(name, { ...reading, ...usual, ...wanted }).catch(() => {});
  if (seen === undefined) throw new Error("The engine was not asked to open");
  return seen;
}

const { O_RDONLY, O_CLOEXEC, O_DIRECT, O_DIRECTORY, O_NOFOLLOW, O_PATH } = linux;
console.log(JSON.stringify({
  ...{ O_RDONLY, O_CLOEXEC, O_DIRECT, O_DIRECTORY, O_NOFOLLOW, O_PATH },
  reading: await flagsOf({}),
  creating: await flagsOf({ write: true, createNew: true }),
  unnamed: await flagsOf({ write: true, unnamed: true }),
}));
