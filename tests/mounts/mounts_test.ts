// Every promise that depends on the file system, on FUSE servers and overlay.

import "../support/engine.ts";
import { assert, assertEquals } from "@std/assert";
import { DmaFile, type DmaStreamWriter } from "../../mod.ts";
import { inWorkDirectory, missing } from "../faults/machine.ts";
import { pause, say } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { eventually } from "../support/descriptors.ts";
import { filePromises, fillDisk, streamPromises } from "./promises.ts";
import { fullDisk, missingPrograms, Mounted, ROOM, type Server, servers } from "./servers.ts";

const promises = { ...streamPromises, ...filePromises };

/** The time after which a stopped server always continues. */
const RESCUE_SECONDS = 10;

/** Servers are stopped one after the other, because each may use two thirds of the free threads. */
let standing: Promise<unknown> = Promise.resolve();

/** Runs all checks at once, because they mostly wait. Each failure names the broken promise. */
async function keepAll(directory: string): Promise<void> {
  const broken: string[] = [];
  await Promise.all(
    Object.entries(promises).map(async ([name, check], index) => {
      const own = `${directory}/${index}`;
      try {
        await Deno.mkdir(own);
        await check(own);
        // A server may cache the content for a second.
        const remove = () => Deno.remove(own, { recursive: true }).then(() => true, () => false);
        await eventually(remove, "The directory is removed");
      } catch (error) {
        broken.push(`${name}: ${error instanceof Error ? error.stack : error}`);
      }
    }),
  );
  assertEquals(broken, [], broken.join("\n"));
}

/** While a server is stopped, the event loop continues, and files of other servers are written. */
async function standStill({ path, process }: Mounted, elsewhere: string): Promise<void> {
  if (!process) return;
  const bytes = pattern(100_001);
  await Deno.writeFile(`${path}/old`, bytes);
  const file = await DmaFile.open(`${path}/old`, { write: true });
  const target = await DmaFile.create(`${path}/target`);
  const writers: DmaStreamWriter[] = [];
  for (let index = 0; index < 3; index++) {
    writers.push((await DmaFile.create(`${path}/${index}`)).writable);
  }
  // If the event loop hangs too, this process cannot resume the server.
  const rescuer = new Deno.Command("sh", {
    args: ["-c", `sleep ${RESCUE_SECONDS}; kill -CONT ${process.pid}`],
  }).spawn();
  process.kill("SIGSTOP");
  const started = performance.now();
  const work = Promise.all([
    file.readAt(0, 1000),
    file.readAt(5000, 90_000),
    Array.fromAsync(file.readMany([{ position: 1, length: 9 }, { position: 9000, length: 9 }])),
    file.size(),
    file.sync(),
    file.copyRangeTo(target, 0, 5000, 0),
    file.preallocate(100_001).catch(() => {}),
    DmaFile.open(`${path}/old`).then((file) => file.close()),
    DmaFile.create(`${path}/new`, { atomic: true }).then((file) => file.close()),
    ...writers.map((writer) => writer.write(bytes).then(() => writer.close())),
  ]);
  await pause(50);
  const other = await DmaFile.create(`${elsewhere}/other`);
  await other.writable.write(bytes);
  await other.writable.close();
  const taken = performance.now() - started;
  process.kill("SIGCONT");
  rescuer.kill("SIGKILL");
  await rescuer.status;
  await work;
  const late = taken >= RESCUE_SECONDS * 1000;
  assert(!late, `A timer of 50 ms and a file elsewhere took ${Math.round(taken)} ms`);
  await target.close();
  await file.close();
  await assertFile(`${path}/target`, pattern(5000));
  for (const index of writers.keys()) await assertFile(`${path}/${index}`, bytes);
  await assertFile(`${elsewhere}/other`, bytes);
  for (const name of ["old", "target", "new", "0", "1", "2"]) await Deno.remove(`${path}/${name}`);
}

async function tryOn(server: Server, options: readonly string[]): Promise<void> {
  try {
    await inWorkDirectory(async (directory) => {
      await using mounted = await Mounted.start(server, options, directory);
      await keepAll(mounted.path);
      await (standing = standing.catch(() => {}).then(() => standStill(mounted, directory)));
      await fillDisk(mounted.path, ROOM + (2 << 20), fullDisk(server));
    });
  } catch (cause) {
    throw new Error(`${server.name} with options '${options.join(" ")}'`, { cause });
  }
}

const lacking = missing(["root", "fuse"]);
for (const server of servers) {
  const absent = [...lacking, ...missingPrograms(server)];
  if (absent.length > 0) say(`Skipped for want of ${absent.join(", ")}: tests on ${server.name}`);
  Deno.test({
    name: `${server.name} keeps every promise`,
    ignore: absent.length > 0,
    // Side by side: mostly they wait.
    fn: async () => {
      const tried = await Promise.allSettled(server.options.map((each) => tryOn(server, each)));
      for (const each of tried) if (each.status === "rejected") throw each.reason;
    },
  });
}
