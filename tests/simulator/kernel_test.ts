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
import { bytesOf } from "./program/bytes.ts";
import { DescriptorTable } from "./kernel/descriptors.ts";
import { DirectoryTree } from "./kernel/directory_tree.ts";
import { aDisk } from "./kernel/file_systems.ts";
import { flightOf } from "./kernel/flight.ts";
import { SystemCalls } from "./kernel/system_calls.ts";
import { Random } from "./random.ts";

const OPERATIONS = 2000;

/** Performs operations on a simulated kernel and on the real one. Each descriptor has a number on both. */
class Kernels {
  readonly #tree = new DirectoryTree();
  readonly #descriptors = new DescriptorTable(false, Infinity);
  readonly #engine = new KernelEngine(loadShim(), new BufferBudget(), 1);
  readonly #calls: SystemCalls;
  readonly #memory = [1, 2].map(() => this.#engine.acquire(1 << 17));
  /** The open files, and the directory. */
  readonly files: (readonly [simulated: number, real: number])[] = [];
  readonly directory: readonly [simulated: number, real: number];

  constructor(path: string, random: Random) {
    const tree = this.#tree;
    this.#calls = new SystemCalls({ kind: aDisk, tree, mountId: 1n }, this.#descriptors, random);
    const flags = O_DIRECTORY;
    const real = { op: "open", directory: AT_FDCWD, name: path, flags, mode: 0 } as const;
    this.directory = [
      this.#descriptors.open(tree.root, flags),
      this.#engine.runNow(real),
    ];
  }

  /** Performs an operation on both, for each with its own descriptors and memory. Returns both results, and bytes. */
  run(operation: (side: 0 | 1, memory: Block) => Operation): [number, number, Uint8Array[]] {
    const [simulated, real] = this.#memory.map((memory, side) => {
      memory.bytes.fill(0);
      return operation(side as 0 | 1, memory);
    }) as [Operation, Operation];
    const result = this.#engine.runNow(real);
    // The real file system lacks a feature.
    if (result === -Errno.EOPNOTSUPP) return [result, result, []];
    const flight = flightOf(simulated, this.#descriptors, this.#tree);
    const length = "length" in simulated ? simulated.length : 0;
    const bytes = this.#memory.map((memory) => memory.bytes);
    return [this.#calls.perform(flight, { errno: 0, most: length }), result, bytes];
  }

  close(): void {
    for (const [, fd] of [...this.files, this.directory]) {
      this.#engine.runNow({ op: "close", fd });
    }
    for (const block of this.#memory) this.#engine.release(block);
  }
}

/** A random operation on random files, for each side. */
function drawOperation(random: Random, { files, directory }: Kernels) {
  const [file, target] = [random.pick(files), random.pick(files)];
  const position = random.pick([0, 511, 4096, random.below(20_000)]);
  const length = 1 + random.pick([0, 511, 4095, random.below(20_000)]);
  const [name, targetName] = [random.pick(["a", "b", "c"]), random.pick(["a", "b", "c"])];
  const bytes = bytesOf(random.seed(), length);
  const flags = random.pick([0, 0, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_APPEND | O_CREAT]);
  const lock = random.pick([LOCK_SH, LOCK_EX, LOCK_UN]) | LOCK_NB;
  const mode = random.pick([0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE]);
  const range = { offset: 0, length, position };
  const fds = (side: 0 | 1) => ({ fd: file[side], directory: directory[side] });
  const choices: ((side: 0 | 1, memory: Block) => Operation)[] = [
    (side) => ({ op: "open", ...fds(side), name, flags: O_RDWR | flags, mode: 0o600 }),
    (side) => ({ op: "open", ...fds(side), name: ".", flags: O_TMPFILE | O_RDWR, mode: 0o600 }),
    (side, memory) => ({ op: "read", ...fds(side), memory, ...range }),
    (side, memory) => {
      memory.bytes.set(bytes);
      return { op: "write", ...fds(side), memory, ...range, buffered: false, flags: 0 };
    },
    (side) => ({ op: "truncate", ...fds(side), length: position }),
    (side) => ({ op: "allocate", ...fds(side), mode, position, length }),
    (side) => ({
      op: "copyRange",
      ...fds(side),
      position,
      targetFd: target[side],
      targetPosition: length,
      length,
    }),
    (side) => ({ op: "sync", ...fds(side), dataOnly: false }),
    (side, memory) => ({ op: "stat", ...fds(side), memory, cached: false }),
    (side) => ({ op: "link", ...fds(side), byProc: true, name }),
    (side) => ({ op: "rename", ...fds(side), name, targetDirectory: directory[side], targetName }),
    (side) => ({ op: "unlink", ...fds(side), name }),
    (side) => ({ op: "lock", ...fds(side), operation: lock }),
  ];
  return random.pick(choices);
}

testInEachDirectory("The simulated system calls behave like those of the kernel", ({ path }) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new Random(seed);
  const kernels = new Kernels(path, random);
  const { files, directory } = kernels;
  const open = (side: 0 | 1): Operation => ({
    op: "open",
    directory: directory[side],
    name: ".",
    flags: O_TMPFILE | O_RDWR,
    mode: 0o600,
  });
  for (let count = 0; count < 3; count++) {
    const [simulated, real] = kernels.run(open);
    files.push([simulated, real]);
  }
  for (let count = 0; count < OPERATIONS; count++) {
    const operation = drawOperation(random, kernels);
    let op = "";
    const [simulated, real, bytes] = kernels.run((side, memory) => {
      const value = operation(side, memory);
      op = value.op;
      return value;
    });
    const what = `operation ${count} of seed ${seed}, ${op}`;
    if (op === "open" && simulated >= 0 && real >= 0) files.push([simulated, real]);
    else assertEquals(simulated, real, what);
    const [one, other] = bytes;
    if (op === "read") assertEquals(one, other, what);
    if (op !== "stat" || !one) continue;
    const facts = [one, other!].map((each) => {
      const { size, links } = parseStat(each, "file");
      return { size, links };
    });
    assertEquals(facts[0], facts[1], what);
  }
  kernels.close();
});
