// The promises about a server that hangs or is full, and the check of all promises. As a program it prints the outcome:
//
//   deno run -A tests/mounts/server_promises.ts '{"path":"/mnt/x"}'

import { assert, assertEquals, assertRejects } from "@std/assert";
import { DmaFile, DmaStreamWriter, engineInfo } from "../../mod.ts";
import { pause, within } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { clientPromises } from "./client_promises.ts";
import { promises, writeAndClose } from "./promises.ts";
import { ROOM } from "./servers.ts";

/** What to check. */
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

const LONGEST_SECONDS = 300;

/** The time of a slow server for a request, in milliseconds. */
export const DELAY_MS = 2000;

/** After so long a stopped server always continues, because an event loop that hangs cannot resume it. */
const RESCUE_SECONDS = 10;

/** Servers are stopped one after the other, because each may use two thirds of the free threads. */
let standing: Promise<unknown> = Promise.resolve();

function signal(processes: readonly number[], signal: Deno.Signal): void {
  for (const pid of processes) {
    try {
      Deno.kill(pid, signal);
    } catch {
      // It has ended.
    }
  }
}

/** The event loop and files elsewhere continue while a server is stopped, or takes its time for every request. */
async function standStill({ path, processes = [] }: Request): Promise<void> {
  const bytes = pattern(100_001);
  const at = (name: string) => `${path}/${name}`;
  await Deno.writeFile(at("old"), bytes);
  const file = await DmaFile.open(at("old"), { write: true });
  const target = await DmaFile.create(at("target"));
  const moved = await DmaFile.create(at("moved"));
  const writers = await Promise.all(["0", "1", "2"].map(async (name) => {
    return (await DmaFile.create(at(name))).writable;
  }));
  const rescue = `sleep ${RESCUE_SECONDS}; kill -CONT ${processes.join(" ")}`;
  const rescuer = processes.length > 0
    ? new Deno.Command("sh", { args: ["-c", rescue] }).spawn()
    : undefined;
  signal(processes, "SIGSTOP");
  let [longest, last] = [0, performance.now()];
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(tick, 10);
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
  ]);
  work.catch(() => {});
  await pause(50);
  const elsewhere = await Deno.makeTempDir();
  await writeAndClose((await DmaFile.create(`${elsewhere}/file`)).writable, bytes);
  await assertFile(`${elsewhere}/file`, bytes);
  await Deno.remove(elsewhere, { recursive: true });
  tick();
  signal(processes, "SIGCONT");
  await work;
  clearInterval(timer);
  tick();
  if (rescuer) signal([rescuer.pid], "SIGKILL");
  await rescuer?.status;
  // On a busy machine the event loop takes a while too, but less than for a server.
  const hang = rescuer ? RESCUE_SECONDS * 1000 : DELAY_MS;
  assert(longest < hang * 0.75, `The event loop stood still for ${Math.round(longest)} ms`);
  for (const each of [file, target, moved]) await each.close();
  await assertFile(at("target"), pattern(5000));
  for (const index of writers.keys()) await assertFile(at(`${index}`), bytes);
}

/** A full disk is told, and all bytes below the flushed position are in the file. */
async function fillDisk(
  { path, fullCodes = ["ENOSPC", "EDQUOT"] }: Request,
  direct: "prefer" | "off",
): Promise<void> {
  const name = `${path}/full`;
  const file = await DmaFile.create(name, { direct });
  const writer = new DmaStreamWriter(file, { closeFile: false });
  const filled = () => writeAndClose(writer, pattern(ROOM + (2 << 20)));
  const error = await assertRejects(filled, Error) as Error & { code?: string };
  assert(fullCodes.includes(error.code!), `${error.code}: ${error.message}`);
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
  const { path, second, small, fullCodes, isSlow } = request;
  const own = await Deno.makeTempDir({ dir: path, prefix: "promises-" });
  const probe = await DmaFile.create(`${own}/direct`);
  const { direct } = probe;
  await probe.close();
  await Deno.remove(probe.path);
  const broken: Record<string, string> = {};
  let kept = 0;
  const check = async (name: string, fn: (directory: string) => Promise<void>) => {
    const directory = `${own}/${name.replaceAll(/\W/g, "-")}`;
    try {
      await Deno.mkdir(directory);
      await within(LONGEST_SECONDS, "The check", fn(directory));
      // A server may cache the content for a second.
      const remove = () =>
        Deno.remove(directory, { recursive: true }).then(() => true, () => false);
      await eventually(remove, "The directory is removed");
      kept++;
    } catch (error) {
      broken[name] = error instanceof Error
        ? error.message.split("\n").slice(0, 12).join(" ")
        : String(error);
    }
  };
  if (!isSlow) {
    await Promise.all(Object.entries(promises).map(([name, fn]) => check(name, fn)));
    for (const [name, fn] of second ? Object.entries(clientPromises) : []) {
      const other = (directory: string) => `${second}${directory.slice(path.length)}`;
      await check(name, (directory) => fn(directory, other(directory)));
    }
  }
  const turn = standing.then(() =>
    check("the event loop continues while the server does not answer", (directory) => {
      return standStill({ ...request, path: directory });
    })
  );
  await (standing = turn);
  if (small && fullCodes?.length !== 0) {
    for (const direct of ["prefer", "off"] as const) {
      await check(`a full disk is told, direct "${direct}"`, () => {
        return fillDisk({ ...request, path: small }, direct);
      });
    }
  }
  await Deno.remove(own, { recursive: true }).catch(() => {});
  return { engine: engineInfo().engine!, direct, kept, broken };
}

if (import.meta.main) {
  console.log(JSON.stringify(await checkAll(JSON.parse(Deno.args[0]!))));
  // Calls that hang on a server are not awaited.
  Deno.exit(0);
}
