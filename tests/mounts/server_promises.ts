// The promises about a server that hangs or is full, and the check of all promises. As a program with an argument such as
// '{"path":"/mnt/x"}' it prints the outcome.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter, engineInfo, ioStats } from "../../mod.ts";
import { eventually, pause, start, within } from "../setup/command.ts";
import { assertFile, openWith, pattern } from "../support/bytes.ts";
import { clientPromises } from "./client_promises.ts";
import { promises, writeAndClose } from "./promises.ts";
import { DELAY_MS, ROOM } from "./servers.ts";

export interface Request {
  readonly path: string;
  /** The processes of the server, which are stopped for a moment. */
  readonly processes?: readonly number[];
  /** Whether to check only that the event loop continues, because every request is slow. */
  readonly isSlow?: boolean;
  /** The same directory through another client. */
  readonly second?: string | undefined;
  /** A directory on a disk of {@linkcode ROOM} bytes. */
  readonly small?: string | undefined;
  /** The errors that may report a full disk. */
  readonly fullCodes?: readonly string[] | undefined;
}

export interface Outcome {
  readonly engine: string;
  /** Whether O_DIRECT could be set. */
  readonly direct: boolean;
  readonly kept: number;
  /** The failures by promise. */
  readonly broken: Readonly<Record<string, string>>;
}

/** On kernel 6.12 a write of 64 KiB through 9p takes more than twenty requests to a slow server. */
const LONGEST_SECONDS = 600;

/** The time after which a stopped server continues in any case. */
const RESCUE_SECONDS = 30;

/** Servers are stopped one after the other, because each may use two thirds of the free threads. */
let standing: Promise<unknown> = Promise.resolve();

/** Shell commands that stop and resume a file system or its server. */
export interface Hang {
  readonly stop: string;
  readonly resume: string;
}

/**
 * A shell that stops a file system and resumes it, each after a line of input, and resumes it in any case after a while. It
 * starts before: a later process of Deno would wait for the server, because it closes the files that it inherits.
 */
class Hanging implements AsyncDisposable {
  readonly #shell: Deno.ChildProcess;
  readonly #lines: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;

  constructor({ stop, resume }: Hang) {
    const script = `read line; ${stop}; echo; read -t ${RESCUE_SECONDS} line; ${resume}`;
    this.#shell = start("bash", ["-c", script], { stdin: "piped", stderr: "inherit" });
    this.#lines = this.#shell.stdin.getWriter();
    this.#output = this.#shell.stdout.getReader();
  }

  async stop(): Promise<void> {
    await this.resume();
    await this.#output.read();
  }

  async resume(): Promise<void> {
    await this.#lines.write(new TextEncoder().encode("\n")).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines.close().catch(() => {});
    await this.#output.cancel();
    await this.#shell.status;
  }
}

/** The time in which this thread did not run, nor wait for a busy processor, in milliseconds. */
function timeAsleep(): number {
  const times = Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ").map(Number);
  return performance.now() - (times[0]! + times[1]!) / 1e6;
}

/** The event loop and files elsewhere continue while a file system stands still, or takes its time for every request. */
export async function standStill(path: string, hang?: Hang): Promise<void> {
  const bytes = pattern(100_001);
  const at = (name: string) => `${path}/${name}`;
  const small = { bufferSize: 65_536, writeBehind: 2 };
  const create = async (name: string) => new DmaStreamWriter(await DmaFile.create(at(name)), small);
  const file = await openWith(at("old"), bytes);
  const target = await DmaFile.create(at("target"));
  const moved = await DmaFile.create(at("moved"));
  const writers = await Promise.all(["0", "1", "2"].map(create));
  const aborted = await create("aborted");
  await aborted.write(bytes);
  const flushed = await aborted.flushAligned({ tail: true });
  await using hanging = hang && new Hanging(hang);
  await hanging?.stop();
  let [longest, last] = [0, timeAsleep()];
  const tick = () => {
    const now = timeAsleep();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(tick, 10);
  const failing = aborted.write(pattern(4 << 20));
  const work = Promise.all([
    file.readAt(0, 1000),
    file.readAt(5000, 90_000),
    Array.fromAsync(file.readMany([{ position: 1, length: 9 }, { position: 9000, length: 9 }])),
    file.size(),
    file.sync(),
    file.tryLock(true).then((isLocked) => isLocked ? file.unlock() : undefined),
    file.copyRangeTo(target, 0, 5000, 0),
    file.preallocate(100_001).catch(() => {}),
    moved.truncate(5001).then(() => moved.rename(at("renamed"))),
    DmaFile.open(at("old")).then((file) => file.close()),
    DmaFile.create(at("new"), { atomic: true }).then((file) => file.close()),
    ...writers.map((writer) => writeAndClose(writer, bytes)),
    hang ? assertRejects(() => failing, Error, "Enough") : failing.catch(() => {}),
  ]);
  work.catch(() => {});
  await pause(50);
  // A caller that has seen the failure may create the file again, which must not be cut then.
  const aborting = aborted.abort(new Error("Enough"));
  const elsewhere = await Deno.makeTempDir();
  await writeAndClose((await DmaFile.create(`${elsewhere}/file`)).writable, bytes);
  await assertFile(`${elsewhere}/file`, bytes);
  await Deno.remove(elsewhere, { recursive: true });
  // The rescue would have ended all of them.
  const { poolBuffers, inFlight } = ioStats();
  tick();
  await hanging?.resume();
  assert(!hang || poolBuffers > 0 && inFlight > 0, "The kernel still has its memory");
  await work;
  await aborting;
  clearInterval(timer);
  tick();
  const stall = hang ? RESCUE_SECONDS * 1000 : DELAY_MS;
  assert(longest < stall * 0.75, `The event loop stood still for ${Math.round(longest)} ms`);
  for (const each of [file, target, moved]) await each.close();
  await assertFile(at("target"), pattern(5000));
  for (const index of writers.keys()) await assertFile(at(`${index}`), bytes);
  assert(aborted.currentFlushedPos >= flushed);
  assertEquals((await Deno.stat(at("aborted"))).size, aborted.currentFlushedPos);
}

/** A full disk is told, and all bytes below the flushed position are in the file. */
async function fillDisk(
  directory: string,
  direct: "prefer" | "off",
  codes: readonly string[] = ["ENOSPC", "EDQUOT"],
): Promise<void> {
  const name = `${directory}/full`;
  const file = await DmaFile.create(name, { direct });
  const writer = new DmaStreamWriter(file, { closeFile: false });
  const filled = () => writeAndClose(writer, pattern(ROOM + (2 << 20)));
  const error = await assertRejects(filled, Error) as Error & { code?: string };
  assert(codes.includes(error.code!), `${error.code}: ${error.message}`);
  const flushed = writer.currentFlushedPos;
  await file.close().catch(() => {});
  const bytes = await Deno.readFile(name);
  await Deno.remove(name);
  // The page cache accepts bytes for which the server has no room.
  if (direct === "off") return;
  assert(bytes.length >= flushed, `${flushed} bytes are flushed, and ${bytes.length} there`);
  assertEquals(bytes.subarray(0, flushed), pattern(flushed));
}

/** Checks all promises. Those about one directory are checked at once, because they mostly wait. */
export async function checkAll(request: Request): Promise<Outcome> {
  const { path, processes = [], second, small, fullCodes, isSlow } = request;
  // A slow server may have no folders.
  const own = isSlow ? path : await Deno.makeTempDir({ dir: path, prefix: "promises-" });
  const probe = await DmaFile.create(`${own}/direct`);
  const { direct } = probe;
  await probe.close();
  await Deno.remove(probe.path);
  const broken: Record<string, string> = {};
  let kept = 0;
  /** Checks a promise in a directory of its own, or in a given one. */
  const check = async (name: string, fn: (directory: string) => Promise<void>, given?: string) => {
    const directory = given ?? `${own}/${name.replaceAll(/\W/g, "-")}`;
    try {
      if (!given) await Deno.mkdir(directory);
      await within(LONGEST_SECONDS, "The check", fn(directory));
      // A server may cache the content for a second.
      const isGone = () =>
        Deno.remove(directory, { recursive: true }).then(() => true, () => false);
      if (!given) await eventually(isGone, "The directory is removed");
      kept++;
    } catch (error) {
      const { message } = error as Error;
      broken[name] = message.split("\n").slice(0, 12).join(" ");
    }
  };
  if (!isSlow) {
    const checks = Object.entries(promises).map(([name, fn]) =>
      check(name, (directory) => fn(`${directory}/file`, directory))
    );
    await Promise.all(checks);
    for (const [name, fn] of second ? Object.entries(clientPromises) : []) {
      const other = (directory: string) => `${second}${directory.slice(path.length)}`;
      await check(name, (directory) => fn(directory, other(directory)));
    }
  }
  const pids = processes.join(" ");
  const hang = { stop: `kill -STOP ${pids}`, resume: `kill -CONT ${pids}` };
  const waiting = "the event loop continues while the server does not answer";
  const hanging = (directory: string) => standStill(directory, pids ? hang : undefined);
  await (standing = standing.then(() => check(waiting, hanging, isSlow ? path : undefined)));
  if (small && fullCodes?.length !== 0) {
    for (const direct of ["prefer", "off"] as const) {
      const filling = (directory: string) => fillDisk(directory, direct, fullCodes);
      await check(`a full disk is told, direct "${direct}"`, filling, small);
    }
  }
  if (!isSlow) await Deno.remove(own, { recursive: true }).catch(() => {});
  return { engine: engineInfo().engine!, direct, kept, broken };
}

if (import.meta.main) {
  console.log(JSON.stringify(await checkAll(JSON.parse(Deno.args[0]!))));
  // Calls that hang on a server are not awaited.
  Deno.exit(0);
}
