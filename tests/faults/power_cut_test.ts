// Power cuts: a disk with a volatile cache produces its state after a cut, directly after a promise and at random moments.
// A new mount of it must have all bytes that sync() and close() have promised, with the exact length.

import { assertRejects } from "@std/assert";
import { pause } from "../setup/command.ts";
import { Random } from "../simulator/random.ts";
import { Disk, diskTest, fileSystems } from "./disks.ts";
import type { FaultFileSystem } from "./fault_file_system.ts";
import { type Account, assertKept, type Life, Writing } from "./killed.ts";
import { engines } from "./machine.ts";
import { type Kind, kinds } from "./programs/write_on.ts";

const cuts = Number(Deno.env.get("DMA_CUTS") ?? 5);
const firstSeed = Number(Deno.env.get("DMA_CUT_SEED") ?? Math.floor(Math.random() * 1e6));

/** Cuts the power while a process writes, and unmounts the disk. The folder of each account is an image after a cut. */
async function cutPower(disk: Disk, memory: FaultFileSystem, directory: string, life: Life) {
  const random = new Random(life.seed);
  const writing = new Writing(life);
  const all: Account[] = [];
  for (let index = 0; index < (life.kind === "end" ? 1 : cuts); index++) {
    if (index < 2) await writing.reach(index === 0 ? "closed" : "synced");
    else await pause(20 + random.below(200));
    const promised = writing.promised();
    const image = `${directory}/cut-${index}`;
    const percent = [0, 100, 50, random.below(100)][index % 4]!;
    // btrfs has a superblock of 4,096 bytes, and does not mount if the disk tears it.
    const unit = random.chance(0.5) && disk.type !== "btrfs" ? 512 : 4096;
    await memory.command(`snap ${image} ${life.seed + index} ${percent} ${unit}`);
    const description = `Seed ${firstSeed}, cut ${index}, ${percent} percent of ${unit} bytes kept`;
    all.push({ ...life, folder: image, promised, loss: "power cut", description });
    if (index < 2) writing.goOn();
  }
  await writing.end("SIGKILL");
  await memory.command("clear");
  await disk.unmount();
  return all;
}

/** Mounts each disk after its cut. The original disk must not be mounted, because all have one identifier. */
async function assertAllKept(disk: Disk, all: readonly Account[]): Promise<void> {
  for (const cut of all) {
    await using mounted = await Disk.open(disk.type, cut.folder, `${cut.folder}.mount`);
    await assertKept({ ...cut, folder: mounted.path });
  }
}

/** Registers a test on a disk with these faults. The engines take turns, in the first run of the suite. */
function cutTest(
  name: string,
  kind: Kind,
  type: Disk["type"],
  faults: readonly string[],
  judge: (check: () => Promise<void>) => Promise<unknown>,
): void {
  if (engines.length === 0) return;
  const engine = engines[(fileSystems.indexOf(type) + kinds.indexOf(kind)) % engines.length]!;
  const seed = firstSeed + kinds.indexOf(kind);
  diskTest(`${name} [${kind}, ${engine}]`, async (disk, memory, directory) => {
    for (const fault of faults) await memory.command(`fault ${fault}`);
    const all = await cutPower(disk, memory, directory, { kind, folder: disk.path, seed, engine });
    await judge(() => assertAllKept(disk, all));
  }, { types: [type] });
}

/** Operations take longer, so that more of them are in flight. */
const slow = ["write delay 1", "fsync delay 3"];

for (const kind of kinds) {
  for (const type of fileSystems) {
    const name = "what was promised before a power cut is there";
    cutTest(name, kind, type, slow, (check) => check());
  }
  const name = "on a disk that lies about flushes it is not";
  cutTest(name, kind, "ext4", ["fsync short 0"], (check) => assertRejects(check, Error, "percent"));
}
