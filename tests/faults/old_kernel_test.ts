// Kernels that lack an operation, a flag or a kind of registration, and liburings that lack functions: a library
// between the module and liburing has this kernel look like that, and everything works with what there is.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { content, firstWrongInFile } from "./content.ts";
import { engines, faultTest, type FaultTestOptions, inWorkDirectory } from "./machine.ts";
import type { AllWork } from "./programs/all_work.ts";
import type { FullRing } from "./programs/full_ring.ts";
import { resultOf, runProgram } from "./programs.ts";
import { library } from "./tools.ts";

/** Nothing here is about the other engine, so a run on that alone has none of it. */
function ringTest(name: string, fn: (folder: string) => Promise<void>): void {
  const options: FaultTestOptions = { needs: ["gcc", "io_uring"] };
  if (engines.includes("io_uring")) faultTest(name, options, () => inWorkDirectory(fn));
}

const LENGTH = 12_000_003;
const EINVAL = 22;
const ENOMEM = 12;
const EPERM = 1;
const EAGAIN = 11;

/** Numbers of operations (`enum io_uring_op`), by their names in `engineInfo().missing`. */
const numbers = {
  FSYNC: 3,
  READ_FIXED: 4,
  WRITE_FIXED: 5,
  FALLOCATE: 17,
  OPENAT: 18,
  CLOSE: 19,
  STATX: 21,
  READ: 22,
  WRITE: 23,
  RENAMEAT: 35,
  UNLINKAT: 36,
  LINKAT: 39,
  FTRUNCATE: 55,
} as const;

type Name = keyof typeof numbers;

interface Variant {
  name: string;
  env: Record<string, string>;
  /** What `engineInfo()` must say, so that it is known that this kernel looks like that one: of lists, what is in them. */
  says?: Partial<AllWork["info"]>;
  /** How many requests must have been refused, at least. @default {1} */
  refused?: number;
  macros?: string[];
}

function lacking(...names: Name[]): Variant {
  return {
    name: `without ${names.join(", ")}`,
    env: { OLD_KERNEL_LACKS: names.map((name) => numbers[name]).join(",") },
    says: { missing: names },
    refused: 0,
  };
}

const DEFER_TASKRUN = 1 << 13;
const COOP_TASKRUN = 1 << 8;
const CLAMP = 1 << 4;

const variants: Variant[] = [
  ...(Object.keys(numbers) as Name[]).map((name) => lacking(name)),
  // As kernels were: 6.1 of Debian 12, and 5.10 without what came after it.
  lacking("RENAMEAT", "UNLINKAT", "LINKAT", "FTRUNCATE"),
  lacking("RENAMEAT", "UNLINKAT", "LINKAT", "FTRUNCATE", "FALLOCATE", "STATX"),
  {
    name: "that cannot be asked for its operations",
    env: { OLD_KERNEL_PROBE: String(EINVAL) },
    says: { missing: Object.keys(numbers) },
  },
  {
    name: "that refuses submissions for good after a while",
    env: { OLD_KERNEL_SUBMIT: String(EPERM), OLD_KERNEL_SUBMIT_FROM: "300" },
  },
  {
    name: "that is short of memory for a while",
    env: {
      OLD_KERNEL_SUBMIT: String(EAGAIN),
      OLD_KERNEL_SUBMIT_FROM: "50",
      OLD_KERNEL_SUBMIT_TIMES: "200",
    },
    refused: 200,
  },
  {
    name: "without deferred task work",
    env: { OLD_KERNEL_SETUP: String(DEFER_TASKRUN) },
    says: { features: ["COOP_TASKRUN"] },
  },
  {
    name: "without deferred or cooperative task work",
    env: { OLD_KERNEL_SETUP: String(DEFER_TASKRUN | COOP_TASKRUN) },
    says: { features: ["plain"] },
    refused: 2,
  },
  {
    name: "on which no ring can be set up",
    env: { OLD_KERNEL_SETUP: String(CLAMP) },
    says: {
      engine: "threads",
      reason: "io_uring could not be set up: io_uring_setup failed (os error 22)",
    },
    refused: 3,
  },
  {
    name: "without sparse registration of buffers",
    env: { OLD_KERNEL_SPARSE: String(EINVAL) },
    says: { registeredBuffers: false },
  },
  {
    name: "on which buffers cannot be registered when it comes to it",
    env: { OLD_KERNEL_UPDATE: String(ENOMEM) },
    says: { registeredBuffers: false },
  },
  {
    name: "on which no eventfd can be registered",
    env: { OLD_KERNEL_EVENTFD: String(EINVAL) },
    says: { engine: "threads" },
  },
  {
    name: "on which another eventfd cannot be registered",
    env: {
      OLD_KERNEL_EVENTFD: String(ENOMEM),
      OLD_KERNEL_EVENTFD_FROM: "2",
      OLD_KERNEL_EVENTFD_TIMES: "1",
    },
    says: { features: ["woken by thread"] },
  },
  {
    name: "on which an eventfd, once given up, cannot be registered again",
    env: { OLD_KERNEL_EVENTFD: String(ENOMEM), OLD_KERNEL_EVENTFD_FROM: "2" },
    says: { features: ["woken by thread"] },
    refused: 2,
  },
  {
    name: "that wakes nobody for the first operation",
    env: { OLD_KERNEL_DEAF: "1" },
  },
  {
    name: "whose flag for waiting work stays set",
    env: { OLD_KERNEL_STALE: "1" },
    refused: 10,
  },
  {
    name: "with a liburing that has no more than its first version",
    env: {},
    says: { registeredBuffers: false, liburing: "2.3 or older" },
    refused: 0,
    macros: ["OLD_LIBURING"],
  },
];

/** What programs/all_work.ts leaves in its folder: the length of each file and the seed of its content. */
const left: Record<string, [length: number, seed: number]> = {
  file: [LENGTH, 0],
  "shape-renamed": [700_001, 0],
  fresh: [200_003, 1],
  old: [200_003, 2],
  kept: [1000, 9],
  piped: [LENGTH, 0],
  log: [150_001, 0],
  sealed: [100_001, 0],
};

async function layOut(folder: string): Promise<void> {
  await Deno.writeFile(`${folder}/old`, content(0, 5000, 8));
  await Deno.writeFile(`${folder}/kept`, content(0, 1000, 9));
  await Deno.writeFile(`${folder}/log`, content(0, 70_000));
}

async function assertLeft(folder: string): Promise<void> {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  assertEquals(names.sort(), Object.keys(left).sort());
  for (const [name, [length, seed]] of Object.entries(left)) {
    assertEquals((await Deno.stat(`${folder}/${name}`)).size, length, name);
    assertEquals(await firstWrongInFile(`${folder}/${name}`, length, seed), -1, name);
  }
}

async function work(folder: string, env: Record<string, string>): Promise<AllWork> {
  await layOut(folder);
  const result = await resultOf<AllWork>("all_work", {
    args: [folder],
    env: { DMA_ENGINE: "", DMA_LIBURING: "", ...env },
    seconds: 30,
  });
  const { wrong, inFlight, poolBuffers } = result;
  assertEquals({ wrong, inFlight, poolBuffers }, { wrong: [], inFlight: 0, poolBuffers: 0 });
  await assertLeft(folder);
  return result;
}

ringTest("with a library in between that changes nothing all is as without it", async (folder) => {
  const without = await work(folder, {});
  for (const { name } of [...Deno.readDirSync(folder)]) await Deno.remove(`${folder}/${name}`);
  const { info, refused } = await work(folder, { DMA_LIBURING: await library("old_kernel") });
  assertEquals({ ...info, liburing: "" }, { ...without.info, liburing: "" });
  assertEquals(refused, 0);
});

for (const { name, env, says, refused: least = 1, macros = [] } of variants) {
  ringTest(`on a kernel ${name} everything works`, async (folder) => {
    const path = await library("old_kernel", ...macros);
    const { info, refused, unlisted } = await work(folder, { DMA_LIBURING: path, ...env });
    for (const [what, said] of Object.entries({ engine: "io_uring", ...says })) {
      const is = info[what as keyof typeof info];
      // This kernel may be old itself.
      if (!Array.isArray(is)) assertEquals(is, said, what);
      else assertEquals((said as string[]).filter((each) => !is.includes(each)), [], what);
    }
    assert(refused! >= least, `${refused} requests were refused`);
    // The library has them fail, as the kernel would.
    assertEquals(unlisted, 0, "Operations that the kernel does not have");
  });
}

ringTest(
  "a ring that refuses submissions leaves nothing that waits for room in it",
  async (folder) => {
    const path = `${folder}/file`;
    await Deno.writeFile(path, content(0, LENGTH));
    // From the first submission that hands over a full queue to one that does when some have completed.
    for (let from = 2; from <= 8; from++) {
      const env = {
        DMA_ENGINE: "",
        DMA_LIBURING: await library("old_kernel"),
        OLD_KERNEL_SUBMIT: String(EPERM),
        OLD_KERNEL_SUBMIT_FROM: String(from),
      };
      const { engine, ...found } = await resultOf<FullRing>("full_ring", {
        args: [path],
        env,
        seconds: 30,
      });
      assertEquals(engine, "io_uring");
      assertEquals(found, { wrong: [], inFlight: 0 }, `from submission ${from} on`);
    }
  },
);

ringTest("an operation that the kernel does not have fails where nobody asked", async (folder) => {
  // The control: the answer says that all is there.
  const env = {
    DMA_ENGINE: "",
    DMA_LIBURING: await library("old_kernel", "LYING_PROBE"),
    OLD_KERNEL_LACKS: String(numbers.RENAMEAT),
  };
  await layOut(folder);
  const ended = await runProgram("all_work", { args: [folder], env });
  assertEquals(ended.code, 1);
  assertStringIncludes(ended.stderr, "Invalid argument (os error 22): rename");
});
