// The simulated system calls against those of the real kernel: the same operations give the same results, lengths and
// bytes.

import { assertEquals } from "@std/assert";
import { loadShim } from "../../ffi/shim.ts";
import { BufferBudget } from "../../src/engine/buffer_budget.ts";
import { KernelEngine } from "../../src/engine/kernel_engine.ts";
import {
  AT_FDCWD,
  Errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDWR,
  O_TMPFILE,
} from "../../src/engine/linux.ts";
import type { Block, Operation } from "../../src/engine/operation.ts";
import { parseStat } from "../../src/file/stat.ts";
import { testInEachDirectory } from "../support/dirs.ts";
import { DescriptorTable } from "./kernel/descriptors.ts";
import { DirectoryTree } from "./kernel/directory_tree.ts";
import { aDisk } from "./kernel/file_systems.ts";
import { flightOf } from "./kernel/flight.ts";
import { SystemCalls } from "./kernel/system_calls.ts";
import { bytesOf } from "./program/bytes.ts";
import { Random } from "./random.ts";

const OPERATIONS = 2000;

/** One of the kernels: its memory, the descriptor of a directory, and those of the files that are open on both. */
interface Kernel {
  readonly memory: Block;
  readonly directory: number;
  readonly files: number[];
  run(operation: Operation): number;
}

function simulated(random: Random, memory: Block): Kernel {
  const tree = new DirectoryTree();
  const descriptors = new DescriptorTable(false, Infinity);
  const calls = new SystemCalls({ kind: aDisk, tree, mountId: 1n }, descriptors, random);
  const run = (operation: Operation) => {
    const most = "length" in operation ? operation.length : 0;
    return calls.perform(flightOf(operation, descriptors, tree), { errno: 0, most });
  };
  return { memory, directory: descriptors.open(tree.root, O_DIRECTORY), files: [], run };
}

/** A random operation on random files, for each kernel. */
function drawOperation(random: Random, count: number): (kernel: Kernel) => Operation {
  const [file, target] = [random.below(count), random.below(count)];
  const position = random.pick([0, 511, 4096, random.below(20_000)]);
  const length = 1 + random.pick([0, 511, 4095, random.below(20_000)]);
  const [name, targetName] = [random.pick(["a", "b", "c"]), random.pick(["a", "b", "c"])];
  const bytes = bytesOf(random.seed(), length);
  const flags = random.pick([0, 0, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_APPEND | O_CREAT]);
  const lock = random.pick([LOCK_SH, LOCK_EX, LOCK_UN]) | LOCK_NB;
  const mode = random.pick([0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE]);
  const op = random.below(count < 3 ? 1 : 13);
  return ({ files, memory, directory }) => {
    const fd = files[file]!;
    const range = { fd, memory, offset: 0, length, position };
    memory.bytes.fill(0);
    if (op === 3) memory.bytes.set(bytes);
    const operations: Operation[] = [
      { op: "open", directory, name: ".", flags: O_TMPFILE | O_RDWR, mode: 0o600 },
      { op: "open", directory, name, flags: O_RDWR | flags, mode: 0o600 },
      { op: "read", ...range },
      { op: "write", ...range, buffered: false, flags: 0 },
      { op: "truncate", fd, length: position },
      { op: "allocate", fd, mode, position, length },
      {
        op: "copyRange",
        fd,
        position,
        targetFd: files[target]!,
        targetPosition: length,
        length,
      },
      { op: "sync", fd, dataOnly: false },
      { op: "stat", fd, memory, cached: false },
      { op: "link", fd, byProc: true, directory, name },
      { op: "rename", directory, name, targetDirectory: directory, targetName },
      { op: "unlink", directory, name },
      { op: "lock", fd, operation: lock },
    ];
    return operations[op]!;
  };
}

testInEachDirectory("The simulated system calls behave like those of the kernel", ({ path }) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const engine = new KernelEngine(loadShim(), new BufferBudget(), 1);
  const [memory, more] = [engine.acquire(1 << 17), engine.acquire(1 << 17)];
  const model = simulated(random, more);
  const opening = {
    op: "open",
    directory: AT_FDCWD,
    name: path,
    flags: O_DIRECTORY,
    mode: 0,
  } as const;
  const real: Kernel = {
    memory,
    directory: engine.runNow(opening),
    files: [],
    run: (operation) => engine.runNow(operation),
  };
  for (let count = 0; count < OPERATIONS; count++) {
    const draw = drawOperation(random, real.files.length);
    const operation = draw(real);
    const result = real.run(operation);
    // The real file system lacks a feature.
    if (result === -Errno.EOPNOTSUPP) continue;
    const expected = model.run(draw(model));
    const what = `operation ${count} of seed ${seed}, ${operation.op}`;
    if (operation.op === "open" && result >= 0 && expected >= 0) {
      real.files.push(result);
      model.files.push(expected);
    } else assertEquals(expected, result, what);
    if (operation.op === "read") assertEquals(more.bytes, memory.bytes, what);
    if (operation.op !== "stat") continue;
    const [one, other] = [memory, more].map(({ bytes }) => parseStat(bytes, "file"));
    assertEquals([other!.size, other!.links], [one!.size, one!.links], what);
  }
  for (const fd of [...real.files, real.directory]) engine.runNow({ op: "close", fd });
  for (const block of [memory, more]) engine.release(block);
}, { bothEngines: false });
