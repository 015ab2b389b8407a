// Short jobs for processes that a test restricts. Prints the result of one as JSON. NAME ARGUMENT...

import { assertEquals } from "@std/assert";
import { configure, type DmaError, DmaFile, engineInfo, ioStats } from "../../../mod.ts";
import { eventually, within } from "../../setup/command.ts";
import { allOf, firstWrong, pattern } from "../../support/bytes.ts";
import { promises } from "../../mounts/promises.ts";
import { swapped } from "./swapped.ts";

/** Reads a file so many times, and waits often enough for the switch to epoll. */
async function readOften(path: string, times: number): Promise<void> {
  const bytes = pattern(12_000_003);
  await Deno.writeFile(path, bytes);
  for (let time = 1; time < times; time++) {
    for await (const _ of (await DmaFile.open(path)).readable);
  }
  const { readable } = await DmaFile.open(path);
  assertEquals(await allOf(readable), bytes);
  await using file = await DmaFile.open(path);
  for (let at = 0; at < 450 * 20_001; at += 20_001) {
    assertEquals(await file.readAt(at, 5001), bytes.subarray(at, at + 5001));
  }
}

/** The counts of tests/tools/old_kernel.c: refused requests, and operations that were not listed. */
function told(): { refused?: number; unlisted?: number } {
  const library = Deno.env.get("DMA_LIBURING");
  if (!library?.includes("old_kernel")) return {};
  const told = { parameters: ["i32"], result: "i32" } as const;
  const { symbols } = Deno.dlopen(library, { old_kernel_told: told });
  return { refused: symbols.old_kernel_told(0), unlisted: symbols.old_kernel_told(1) };
}

/**
 * Checks all promises of files in an empty folder. Resolves to the failures, and to what the engine found. Memory is
 * registered after 512 MiB have gone through it: with 60 reads before, the promises are checked with registered memory.
 */
export async function allWork(folder: string, reads = "3") {
  const wrong: string[] = [];
  await readOften(`${folder}/file`, Number(reads));
  await Promise.all(
    Object.entries(promises).map(async ([name, check], index) => {
      const directory = `${folder}/${index}`;
      await Deno.mkdir(directory);
      const failed = (error: unknown) => void wrong.push(`${name}: ${error}`);
      await check(`${directory}/file`, directory).catch(failed);
    }),
  );
  const { inFlight, poolBuffers } = ioStats();
  // A program with limited permissions may not read it.
  const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
  const pinned = Number(/^VmPin:\s*(\d+)/m.exec(status)?.[1]);
  return { wrong, used: inFlight + poolBuffers, pinned, info: engineInfo(), ...told() };
}

interface Handle {
  open(fd: number): number;
  readStart(): number;
}

/** All work, where epoll cannot watch a descriptor through Node's handles. */
async function withoutEpoll(folder: string, how: string) {
  // Not imported for the other jobs: without /proc it cannot be.
  const { default: process } = await import("node:process");
  type Binding = (name: string) => { Pipe: new (type: number) => Handle };
  const internals = process as unknown as { binding: Binding };
  const { Pipe } = internals.binding("pipe_wrap");
  class DeafPipe extends Pipe {
    override open(fd: number): number {
      if (how === "handles throw") throw new Error(how);
      return how === "handles refuse" ? -1 : super.open(fd);
    }
    override readStart(): number {
      return how === "no signal comes" ? 0 : super.readStart();
    }
  }
  internals.binding = () => {
    if (how === "Node refuses") throw new Error("No internal bindings here");
    return { Pipe: DeafPipe };
  };
  return await allWork(folder);
}

/** Requests io_uring repeatedly. `mapped` is the growth of the mapped ranges of memory. The number of V8's own ranges varies. */
async function demandRing(path: string) {
  configure({ engine: "io_uring" });
  const mappings = async () => (await Deno.readTextFile("/proc/self/maps")).split("\n").length;
  const demand = () => DmaFile.create(path).then((file) => file.close().then(() => ""), String);
  const error = await demand();
  const before = await mappings();
  for (let round = 0; round < 200; round++) await demand();
  const mapped = await mappings() - before;
  return { error, mapped, exists: await Deno.stat(path).then(() => true, () => false) };
}

/** Runs more reads at once than a small engine has room for. */
async function fullRing(path: string) {
  configure({ ringEntries: 8, threads: 2 });
  await using file = await DmaFile.open(path);
  const places = Array.from({ length: 200 }, (_, index) => index * 5000);
  const results = await Promise.all(places.map((place) => file.readAt(place, 100)));
  const wrong = places.filter((place, index) => firstWrong(results[index]!, 100, 0, place) >= 0);
  const { inFlight, queueFull } = ioStats();
  return { engine: engineInfo().engine, wrong, inFlight, queueFull };
}

/** Opens files until there are no free descriptors, twice. `spare` descriptors may be opened in addition. */
async function descriptors(folder: string, spare: string) {
  // Not imported for the other jobs: without /proc it cannot be.
  const { openTargets } = await import("../../support/leaks.ts");
  // Deno needs some descriptors for signals, and panics without them.
  Deno.addSignalListener("SIGUSR2", () => {});
  // RLIMIT_NOFILE is 7. Another process could not set it: to wait for that, Deno may need a thread.
  const { symbols } = Deno.dlopen("libc.so.6", {
    setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  });
  const most = BigInt(openTargets().length + 1 + Number(spare));
  assertEquals(symbols.setrlimit(7, BigUint64Array.of(most, most)), 0);
  const openAll = async () => {
    await using files = new AsyncDisposableStack();
    for (let opened = 0;; opened++) {
      try {
        files.use(await DmaFile.create(`${folder}/${opened}`));
      } catch (error) {
        const { code, op, path } = error as DmaError;
        return { opened, failure: { code, op, path } };
      }
    }
  };
  const first = await openAll();
  // All descriptors are released, so as many can be opened again.
  return { ...first, again: (await openAll()).opened };
}

/** Reads all blocks while the server stands still, and works in `folder`. Resolves to the reads in flight, and wrong ones. */
async function busyThreads(path: string, folder: string, server: string) {
  await using file = await DmaFile.open(path);
  const places = Array.from({ length: await file.size() / 4096 }, (_, index) => index * 4096);
  // Afterwards the alignment is known.
  await file.readAt(0, 1);
  Deno.kill(Number(server), "SIGSTOP");
  // It takes effect a little later.
  const tasks = [...Deno.readDirSync(`/proc/${server}/task`)];
  const stateOf = (name: string) => Deno.readTextFileSync(`/proc/${server}/task/${name}/stat`);
  await eventually(() => tasks.every(({ name }) => / T /.test(stateOf(name))));
  let inFlight = 0;
  const reads = Promise.all(places.map((place) => file.readAt(place, 4096)));
  try {
    await eventually(() => ioStats().inFlight === places.length);
    await within(20, "Deno", Deno.writeFile(`${folder}/own`, pattern(10_000)));
    await within(20, "Deno", Deno.remove(`${folder}/own`));
    inFlight = ioStats().inFlight;
  } finally {
    Deno.kill(Number(server), "SIGCONT");
  }
  const results = await reads;
  const wrong = places.filter((place, at) => firstWrong(results[at]!, 4096, 0, place) >= 0);
  return { inFlight, wrong };
}

/** The names while a file is replaced without /proc. If `refused`, the kernel does not link by a descriptor either. */
async function atomicWithoutProc(path: string, refused: string) {
  const { fail } = await import("../../support/engine.ts");
  const folder = path.slice(0, path.lastIndexOf("/"));
  const namesNow = () => [...Deno.readDirSync(folder)].map(({ name }) => name);
  using _ = fail("link", 2, ({ byProc }) => refused !== "" && !byProc);
  await using _ofLink = await DmaFile.open(`${folder}/../link`);
  const { writable: writer } = await DmaFile.create(path, { atomic: true });
  await writer.write(pattern(100_000));
  const names = namesNow();
  await writer.close();
  const proc = await Deno.stat("/proc/self").then(() => true, () => false);
  return { proc, names, after: namesNow() };
}

export const jobs = {
  allWork,
  atomicWithoutProc,
  busyThreads,
  demandRing,
  descriptors,
  fullRing,
  swapped,
  withoutEpoll,
};

if (import.meta.main) {
  const [name, ...args] = Deno.args as [keyof typeof jobs, ...never[]];
  console.log(JSON.stringify(await (jobs[name] as (...args: never[]) => unknown)(...args)));
}
