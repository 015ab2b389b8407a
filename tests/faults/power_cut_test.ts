// Power cuts: a disk with a volatile cache produces its state after a cut at a random moment. A new mount of it must
// have all bytes that sync() and close() have promised, with the exact length.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { pause, runOrThrow } from "../setup/command.ts";
import { Random } from "../simulator/random.ts";
import { eventually } from "../support/descriptors.ts";
import { content, firstForeign, firstWrong } from "./content.ts";
import { type FaultyDisk, type FileSystem, fileSystems, LoopMount, onFaultyDisk } from "./disks.ts";
import { type Account, assertKept, type Promised, startWriting } from "./killed.ts";
import { engines, faultTest, type Need, whileUp } from "./machine.ts";
import { spawn } from "./programs.ts";
import { type Kind, kinds, lengths, type Once } from "./written.ts";

const firstSeed = Number(Deno.env.get("DMA_CUT_SEED") ?? Math.floor(Math.random() * 1e6));
/** The number of cuts during one run of a program that writes continuously. */
const cuts = Number(Deno.env.get("DMA_CUTS") ?? 4);
const MEGABYTES = 320;
const MOST_WRITTEN = 80_000_000;

/** Registers a test with a disk. The engines take turns in the first run of the suite. */
function cutTest(
  name: string,
  type: FileSystem,
  fn: (disk: FaultyDisk, directory: string) => Promise<void>,
): void {
  const needs: Need[] = ["root", "gcc", "loop", "fuse", type];
  const run = () => onFaultyDisk(type, MEGABYTES, fn);
  faultTest(`${name}, ${type}]`, { needs, bothEngines: false }, run);
}

/** The engine whose turn it is. */
function engineFor(type: FileSystem, index: number): string {
  return engines[(fileSystems.indexOf(type) + index) % engines.length]!;
}

/** Mounts the disk after a cut. The original disk must not be mounted, because both have one identifier. */
async function afterwards<T>(
  type: FileSystem,
  image: string,
  check: (folder: string) => Promise<T>,
): Promise<T> {
  const mount = await LoopMount.open(type, image, `${image}.mount`);
  return await whileUp(mount, () => check(mount.path)).finally(() => Deno.remove(image));
}

// ---- cuts at random moments ------------------------------------------------------------------------------------

interface Cut extends Account {
  image: string;
}

/** The number of files that were promised to be durable, completely or in part. */
function countPromised(promised: ReadonlyMap<number, Promised>): number {
  return [...promised.values()].filter(({ closed, synced }) => closed || synced > 0).length;
}

/** Lets a program write continuously, and takes cuts meanwhile. The disk is unmounted afterwards. */
async function cutAtRandom(
  { disk, mount }: FaultyDisk,
  directory: string,
  kind: Kind,
  engine: string,
  seed: number,
): Promise<Cut[]> {
  // Operations take longer, so that more of them are in flight.
  await disk.command("delay write 1");
  await disk.command("delay flush 3");
  const args = [kind, mount.path, String(seed), "0", String(MOST_WRITTEN)];
  const writing = await startWriting(args, engine);
  const random = new Random(seed);
  const all: Cut[] = [];
  for (let index = 0; index < cuts; index++) {
    await pause(20 + random.below(200));
    // Even on a slow machine there are bytes to lose.
    if (index === cuts - 1) await eventually(() => countPromised(writing.promised()) > 0);
    const promised = writing.promised();
    const image = `${directory}/cut-${index}`;
    const percent = [0, 100, 50, random.below(100)][index % 4]!;
    // btrfs has a superblock of 4,096 bytes, and does not mount if the disk tears it.
    const unit = random.chance(0.5) && mount.type !== "btrfs" ? 512 : 4096;
    await disk.command(`snap ${image} ${seed + index} ${percent} ${unit}`);
    const description = `Seed ${seed}, cut ${index}, ${percent} percent of ${unit} bytes kept`;
    all.push({ kind, folder: "", seed, promised, loss: "power cut", image, description });
  }
  await writing.end("SIGKILL");
  await disk.command("clear");
  await mount.unmount();
  return all;
}

for (const type of fileSystems) {
  for (const [index, kind] of kinds.entries()) {
    const engine = engineFor(type, index);
    const name = `what was promised before a power cut is there, ${cuts} times [${kind}, ${engine}`;
    cutTest(name, type, async (disk, directory) => {
      const all = await cutAtRandom(disk, directory, kind, engine, firstSeed + index);
      for (const cut of all) {
        await afterwards(type, cut.image, (folder) => assertKept({ ...cut, folder }));
      }
      const isPromised = all.some(({ promised }) => countPromised(promised) > 0);
      assert(isPromised, "Nothing was promised before any of the cuts");
    });
  }
}

// ---- cuts right after a promise --------------------------------------------------------------------------------

interface Lives {
  engine: string;
  /** Whether the disk drops flushes. */
  lies?: boolean;
}

/** Lets a program write one file, and cuts when it reports a promise. Throws if the promise is broken. */
async function cutAfterPromise(
  { disk, mount }: FaultyDisk,
  directory: string,
  what: Once,
  { engine, lies = false }: Lives,
): Promise<void> {
  const { before, after } = lengths[what];
  // Existing bytes stay when a file is appended to, and differ from the new ones when it is replaced.
  const old = content(0, before, what === "replace" ? 2 : 1);
  if (before > 0) await Deno.writeFile(`${mount.path}/file`, old);
  await runOrThrow("sync", ["-f", mount.path]);
  if (lies) await disk.command("drop-flush 1");
  const options = { args: [what, mount.path], env: { DMA_ENGINE: engine } };
  const child = spawn("write_once", options);
  const output = child.stdout.getReader();
  const { value } = await output.read();
  const images = [];
  for (const [seed, percent] of value ? [[1, 0], [2, 50], [3, 100]] as const : []) {
    const image = `${directory}/cut-${percent}`;
    await disk.command(`snap ${image} ${seed} ${percent} 512`);
    images.push(image);
  }
  await output.cancel();
  await child.stdin.close();
  const errors = await new Response(child.stderr).text();
  assertEquals((await child.status).code, 0, errors);
  await mount.unmount();
  for (const image of images) {
    const bytes = await afterwards(mount.type, image, async (folder) => {
      return await Deno.readFile(`${folder}/file`).catch(() => new Uint8Array(0));
    });
    assertEquals(firstWrong(bytes, after, 1), -1, `The first wrong byte in ${image}`);
    if (["sync", "sync of a log", "later sync of a log"].includes(what)) {
      assertEquals(firstForeign(bytes, after, 1), -1);
    } else assertEquals(bytes.length, after, `The length in ${image}`);
  }
}

for (const [index, what] of (Object.keys(lengths) as Once[]).entries()) {
  for (const type of fileSystems) {
    const engine = engineFor(type, index);
    const name = `a power cut straight after a promise leaves exactly that [${what}, ${engine}`;
    const run = (disk: FaultyDisk, directory: string) =>
      cutAfterPromise(disk, directory, what, { engine });
    cutTest(name, type, run);
  }

  const engine = engineFor("ext4", index);
  const name = `on a disk that lies about flushes the promise is not kept [${what}, ${engine}`;
  cutTest(name, "ext4", async (disk, directory) => {
    const cutting = () => cutAfterPromise(disk, directory, what, { engine, lies: true });
    // The program must have reported its promise; only the bytes are missing.
    await assertRejects(cutting, Error, "cut-");
  });
}
