// Kernels that lack an operation, a flag or a kind of registration, and versions of liburing that lack functions: a
// library between the module and liburing simulates them, and everything works with the remaining features.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { EngineInfo } from "../../mod.ts";
import {
  Errno,
  IORING_SETUP_CLAMP,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_DEFER_TASKRUN,
  Opcode,
} from "../../src/engine/linux.ts";
import { namesIn } from "../support/bytes.ts";
import { content } from "./content.ts";
import { assertContent } from "./failed_writer.ts";
import { engines, folderTest } from "./machine.ts";
import { LENGTH } from "./programs/all_work.ts";
import { resultOf, runProgram } from "./programs.ts";
import { library } from "./tools.ts";

/** These tests do not concern the threads engine, so a run on that engine alone omits them. */
function ringTest(name: string, fn: (folder: string) => Promise<void>): void {
  if (engines.includes("io_uring")) folderTest(name, { needs: ["gcc", "io_uring"] }, fn);
}

/** The operations that the module asks of a ring, as `engineInfo().missing` names them. */
const everyName = (Object.keys(Opcode) as (keyof typeof Opcode)[])
  .filter((name) => name !== "NOP" && Opcode[name] < Opcode.READLINK);

interface Variant {
  /** The text after "on a kernel". */
  name: string;
  /** Variables of tests/tools/old_kernel.c, without OLD_KERNEL_. */
  set: Record<string, number | string>;
  /** The expected parts of `engineInfo()`, which show that the kernel looks like that one. */
  says: Partial<EngineInfo>;
  /** The minimum number of refused requests. */
  refused: number;
  /** Whether liburing is the first one too. */
  oldLiburing?: true;
}

function kernel(name: string, set: Variant["set"], more: Partial<Variant> = {}): Variant {
  return { name, set, says: {}, refused: 1, ...more };
}

function lacking(...names: (keyof typeof Opcode)[]): Variant {
  const set = { LACKS: names.map((name) => Opcode[name]).join(",") };
  return kernel(`without ${names.join(", ")}`, set, { says: { missing: names }, refused: 0 });
}

const { EAGAIN, EINVAL, ENOMEM, EPERM } = Errno;
const NEITHER = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN;
const unregistered = { says: { registeredBuffers: false } };
const noRing = "io_uring could not be set up: io_uring_setup failed (os error 22)";

const variants: Variant[] = [
  ...everyName.map((name) => lacking(name)),
  // Real kernels: 6.1 of Debian 12, and 5.10 without later features.
  lacking("RENAMEAT", "UNLINKAT", "LINKAT", "FTRUNCATE"),
  lacking("RENAMEAT", "UNLINKAT", "LINKAT", "FTRUNCATE", "FALLOCATE", "STATX"),
  kernel("that cannot be asked for its operations", { PROBE: EINVAL }, {
    says: { missing: everyName },
  }),
  kernel("that refuses submissions after a while", { SUBMIT: EPERM, SUBMIT_FROM: 300 }),
  kernel("that is short of memory for a while", {
    SUBMIT: EAGAIN,
    SUBMIT_FROM: 50,
    SUBMIT_TIMES: 200,
  }, { refused: 200 }),
  kernel("without deferred task work", { SETUP: IORING_SETUP_DEFER_TASKRUN }, {
    says: { features: ["COOP_TASKRUN"] },
  }),
  kernel("without deferred or cooperative task work", { SETUP: NEITHER }, {
    says: { features: ["plain"] },
    refused: 2,
  }),
  kernel("on which no ring can be set up", { SETUP: IORING_SETUP_CLAMP }, {
    says: { engine: "threads", reason: noRing },
    refused: 3,
  }),
  kernel("without sparse registration of buffers", { SPARSE: EINVAL }, unregistered),
  kernel("that registers no buffers when it comes to it", { UPDATE: ENOMEM }, unregistered),
  kernel("on which no eventfd can be registered", { EVENTFD: EINVAL }, {
    says: { engine: "threads" },
  }),
  kernel("that wakes nobody for the first operation", { DEAF: 1 }),
  kernel("whose flag for waiting work stays set", { STALE: 1 }, { refused: 10 }),
  kernel("with the first liburing", {}, {
    says: { registeredBuffers: false, liburing: "2.3 or older" },
    refused: 0,
    oldLiburing: true,
  }),
];

/** The environment of a program with the library in between. */
async function withLibrary({ set = {}, oldLiburing }: Partial<Variant>) {
  const env: Record<string, string> = {
    DMA_ENGINE: "",
    DMA_LIBURING: await library("old_kernel", ...oldLiburing ? ["OLD_LIBURING"] : []),
  };
  for (const [name, value] of Object.entries(set)) env[`OLD_KERNEL_${name}`] = String(value);
  return env;
}

/** The files before and after programs/all_work.ts: the length of each, and the seed of its content. */
const before = { old: [5000, 8], kept: [1000, 9], log: [70_000, 0] } as const;
const after = {
  file: [LENGTH, 0],
  "shape-renamed": [700_001, 0],
  fresh: [200_003, 1],
  old: [200_003, 2],
  kept: [1000, 9],
  piped: [LENGTH, 0],
  log: [150_001, 0],
  sealed: [100_001, 0],
} as const;

async function layOut(folder: string): Promise<void> {
  for (const [name, [length, seed]] of Object.entries(before)) {
    await Deno.writeFile(`${folder}/${name}`, content(0, length, seed));
  }
}

async function work(folder: string, env: Record<string, string>) {
  await layOut(folder);
  const result = await resultOf("allWork", [folder], { env });
  const { wrong, inFlight, poolBuffers } = result;
  assertEquals({ wrong, inFlight, poolBuffers }, { wrong: [], inFlight: 0, poolBuffers: 0 });
  assertEquals(await namesIn(folder), Object.keys(after).sort());
  for (const [name, [length, seed]] of Object.entries(after)) {
    await assertContent(`${folder}/${name}`, length, seed);
  }
  return result;
}

ringTest("with a library in between that changes nothing all is as without it", async (folder) => {
  const without = await work(folder, { DMA_ENGINE: "", DMA_LIBURING: "" });
  for (const name of await namesIn(folder)) await Deno.remove(`${folder}/${name}`);
  const { info, refused } = await work(folder, await withLibrary({}));
  assertEquals({ ...info, liburing: "" }, { ...without.info, liburing: "" });
  assertEquals(refused, 0);
});

for (const { name, says, refused: least, ...variant } of variants) {
  ringTest(`on a kernel ${name} everything works`, async (folder) => {
    const { info, refused, unlisted } = await work(folder, await withLibrary(variant));
    for (const [what, said] of Object.entries({ engine: "io_uring", ...says })) {
      const is = info[what as keyof typeof info];
      // This kernel may be old itself.
      if (!Array.isArray(is)) assertEquals(is, said, what);
      else assertEquals((said as string[]).filter((each) => !is.includes(each)), [], what);
    }
    assert(refused! >= least, `${refused} requests were refused`);
    // The library makes them fail, as the kernel would.
    assertEquals(unlisted, 0, "Operations that the kernel does not have");
  });
}

ringTest("nothing waits for room in a ring that refuses submissions", async (folder) => {
  const path = `${folder}/file`;
  await Deno.writeFile(path, content(0, LENGTH));
  // From the first submission of a full queue to one after some completions.
  for (let from = 2; from <= 8; from++) {
    const env = await withLibrary({ set: { SUBMIT: EPERM, SUBMIT_FROM: from } });
    const found = await resultOf("fullRing", [path], { env });
    assertEquals(found, { engine: "io_uring", wrong: [], inFlight: 0 }, `from ${from} on`);
  }
});

ringTest("an operation that the kernel does not have fails where nobody asked", async (folder) => {
  // The control: the probe reports all operations.
  const env = await withLibrary({ set: { LACKS: Opcode.RENAMEAT, LIES: 1 } });
  await layOut(folder);
  const ended = await runProgram("jobs", { args: ["allWork", folder], env });
  assertEquals(ended.code, 1);
  assertStringIncludes(ended.stderr, "Invalid argument (os error 22): rename");
});
