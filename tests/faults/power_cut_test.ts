// Power cuts: a disk with a volatile cache produces its state after a cut, directly after a promise and at random moments.
// A new mount of it must have all bytes that sync() and close() have promised, with the exact length. DMA_CUTS sets the
// number of cuts for each kind of writing; DMA_CUT_SEED repeats a run.

import { assertRejects } from "@std/assert";
import { pause } from "../setup/command.ts";
import { Random } from "../simulator/random.ts";
import { Disk, faultyDiskTest, fileSystems } from "./disks.ts";
import { type Account, assertKept, Writing } from "./killed.ts";
import { engines, whileUp } from "./machine.ts";
import { type Kind, kinds } from "./programs/write_on.ts";
import type { Daemon } from "./tools.ts";

const cuts = Number(Deno.env.get("DMA_CUTS") ?? 5);
const firstSeed = Number(Deno.env.get("DMA_CUT_SEED") ?? Math.floor(Math.random() * 1e6));

interface Cut extends Account {
  readonly image: string;
}

/** Lets a process write, and cuts the power meanwhile. The disk is unmounted afterwards. */
async function cutPower(
  disk: Disk,
  daemon: Daemon,
  directory: string,
  kind: Kind,
  engine: string,
): Promise<Cut[]> {
  const seed = firstSeed + kinds.indexOf(kind);
  const random = new Random(seed);
  const writing = await Writing.start({ kind, folder: disk.path, seed, engine }, true);
  const all: Cut[] = [];
  const cut = async () => {
    const index = all.length;
    const promised = writing.promised();
    const image = `${directory}/cut-${index}`;
    const percent = [0, 100, 50, random.below(100)][index % 4]!;
    // btrfs has a superblock of 4,096 bytes, and does not mount if the disk tears it.
    const unit = random.chance(0.5) && disk.type !== "btrfs" ? 512 : 4096;
    await daemon.command(`snap ${image} ${seed + index} ${percent} ${unit}`);
    const description = `Seed ${firstSeed}, cut ${index}, ${percent} percent of ${unit} bytes kept`;
    all.push({ kind, folder: "", seed, promised, loss: "power cut", image, description });
  };
  if (kind === "end") await writing.stopAt("closed", cut);
  else {
    for (let index = 0; index < cuts; index++) {
      if (index < 2) await writing.stopAt(index === 0 ? "closed" : "synced", cut);
      else await pause(20 + random.below(200)).then(cut);
    }
  }
  await writing.end("SIGKILL");
  await daemon.command("clear");
  await disk.unmount();
  return all;
}

/** Mounts each disk after its cut. The original disk must not be mounted, because all have one identifier. */
async function assertAllKept(disk: Disk, all: readonly Cut[]): Promise<void> {
  for (const cut of all) {
    const mounted = await Disk.open(disk.type, cut.image, `${cut.image}.mount`);
    await whileUp(mounted, ({ path }) => assertKept({ ...cut, folder: path }));
  }
}

/** Registers a test. The engines take turns, in the first run of the suite. */
function cutTest(
  name: string,
  kind: Kind,
  type: Disk["type"],
  fn: (disk: Disk, daemon: Daemon, cutPower: () => Promise<Cut[]>) => Promise<void>,
): void {
  if (engines.length === 0) return;
  const engine = engines[(fileSystems.indexOf(type) + kinds.indexOf(kind)) % engines.length]!;
  faultyDiskTest(`${name} [${kind}, ${engine}, ${type}]`, type, (disk, daemon, directory) => {
    return fn(disk, daemon, () => cutPower(disk, daemon, directory, kind, engine));
  });
}

for (const kind of kinds.filter((kind) => kind !== "exit")) {
  for (const type of fileSystems) {
    const name = "what was promised before a power cut is there";
    cutTest(name, kind, type, async (disk, daemon, cutPower) => {
      // Operations take longer, so that more of them are in flight.
      await daemon.fault("write delay 1");
      await daemon.fault("flush delay 3");
      await assertAllKept(disk, await cutPower());
    });
  }

  cutTest(
    "on a disk that lies about flushes it is not",
    kind,
    "ext4",
    async (disk, daemon, cutPower) => {
      await daemon.fault("flush short 0");
      const all = await cutPower();
      await assertRejects(() => assertAllKept(disk, all), Error, "percent");
    },
  );
}
