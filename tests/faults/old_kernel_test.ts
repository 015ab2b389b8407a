// Kernels that lack an operation, a flag or a kind of registration, and versions of liburing that lack functions: a
// library between the module and liburing simulates them, and everything works with the remaining features.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { EngineInfo } from "../../mod.ts";
import { Errno, Opcode, Setup } from "../../src/engine/linux.ts";
import { pattern } from "../support/bytes.ts";
import { engines, folderTest } from "./machine.ts";
import { resultOf, runProgram } from "./programs.ts";
import { library } from "./tools.ts";

/** These tests do not concern the threads engine, so a run on that engine alone omits them. */
function ringTest(name: string, fn: (folder: string) => Promise<void>): void {
  if (engines.includes("io_uring")) folderTest(name, fn, ["gcc", "io_uring"]);
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
const plain = { says: { features: ["plain"] } };
const unregistered = { says: { registeredBuffers: false } };
const noRing = "io_uring could not be set up: io_uring_setup failed (os error 22)";

const variants: Variant[] = [
  kernel("as it is", {}, { refused: 0 }),
  ...everyName.map((name) => lacking(name)),
  // Real kernels: 6.1 of Debian 12, and 5.10 without later features.
  lacking("RENAMEAT", "UNLINKAT", "LINKAT", "FTRUNCATE"),
  lacking("RENAMEAT", "UNLINKAT", "LINKAT", "FTRUNCATE", "FALLOCATE", "STATX"),
  kernel("that lists no operations", { PROBE: EINVAL }, { says: { missing: everyName } }),
  kernel("that refuses submissions after a while", { SUBMIT: EPERM, SUBMIT_FROM: 300 }),
  kernel("short of memory for a while", { SUBMIT: EAGAIN, SUBMIT_FROM: 50, SUBMIT_TIMES: 200 }, {
    refused: 200,
  }),
  kernel("without deferred task work", { SETUP: Setup.DEFER_TASKRUN }, plain),
  kernel("on which no ring can be set up", { SETUP: Setup.CLAMP }, {
    says: { engine: "threads", reason: noRing },
    refused: 2,
  }),
  kernel("without sparse registration of buffers", { SPARSE: EINVAL }, unregistered),
  kernel("that registers no buffers when it comes to it", { UPDATE: ENOMEM }, unregistered),
  kernel("that registers no eventfd", { EVENTFD: EINVAL }, { says: { engine: "threads" } }),
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

for (const { name, says, refused: least, ...variant } of variants) {
  ringTest(`on a kernel ${name} everything works`, async (folder) => {
    const env = await withLibrary(variant);
    // If registering buffers must fail, enough bytes must be read for an attempt.
    const reads = variant.set["UPDATE"] ? "60" : "3";
    const result = await resultOf("allWork", [folder, reads], { env });
    const { wrong, used, info, refused, unlisted } = result;
    assertEquals({ wrong, used }, { wrong: [], used: 0 });
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
  await Deno.writeFile(path, pattern(1_100_000));
  // From the first submission of a full queue to one after some completions.
  for (let from = 2; from <= 8; from++) {
    const env = await withLibrary({ set: { SUBMIT: EPERM, SUBMIT_FROM: from } });
    const { queueFull: _, ...found } = await resultOf("fullRing", [path], { env });
    assertEquals(found, { engine: "io_uring", wrong: [], inFlight: 0 }, `from ${from} on`);
  }
});

ringTest("an operation that the kernel does not have fails where nobody asked", async (folder) => {
  // The control: the probe reports all operations.
  const env = await withLibrary({ set: { LACKS: Opcode.RENAMEAT, LIES: 1 } });
  const ended = await runProgram("jobs", { args: ["allWork", folder], env });
  assertStringIncludes(ended.stdout, "Invalid argument (os error 22): rename");
});
