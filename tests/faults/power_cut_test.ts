// Power cuts: a disk with a volatile cache shows what a cut at a random moment would leave of it, and a fresh mount
// of that must have everything that sync() and close() promised before, to the exact length.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { run } from "../setup/command.ts";
import { eventually } from "../support/descriptors.ts";
import { content, firstForeign, firstWrong } from "./content.ts";
import { type FaultyDisk, type FileSystem, fileSystems, LoopMount, onFaultyDisk } from "./disks.ts";
import { type Account, assertKept, promises } from "./killed.ts";
import {
  engines,
  faultTest,
  type FaultTestOptions,
  folderTest,
  type Need,
  whileUp,
} from "./machine.ts";
import { copyModule, type Replacement } from "./module_copy.ts";
import { spawn } from "./programs.ts";
import { library } from "./tools.ts";
import { Random } from "../simulator/random.ts";
import { kinds, lengths, type Once } from "./written.ts";

const firstSeed = Number(Deno.env.get("DMA_CUT_SEED") ?? Math.floor(Math.random() * 1e6));
/** Cuts in one life of a program that writes on and on. */
const cuts = Number(Deno.env.get("DMA_CUTS") ?? 4);
const MEGABYTES = 320;
const MOST_WRITTEN = 80_000_000;

/** Either engine has its turn in the first run of the suite. */
function on(type: FileSystem, ...more: Need[]): FaultTestOptions {
  return { needs: ["root", "gcc", "loop", "fuse", type, ...more], bothEngines: false };
}

/** What a power cut now would leave, with so many percent of what is volatile, in pieces of `unit` bytes. */
async function cut(
  disk: FaultyDisk,
  image: string,
  { seed, percent, unit }: { seed: number; percent: number; unit: number },
): Promise<void> {
  await disk.disk.command(`snap ${image} ${seed} ${percent} ${unit}`);
}

/** Mounts what a cut left. The disk that it is of must not be mounted: they have one name. */
async function afterwards<T>(
  type: FileSystem,
  image: string,
  check: (folder: string) => Promise<T>,
): Promise<T> {
  const mount = await LoopMount.open(image, `${image}.mount`, type);
  return await whileUp(mount, () => check(mount.path), async () => {
    await mount[Symbol.asyncDispose]();
    await Deno.remove(image);
  });
}

// ---- cuts at random moments ------------------------------------------------------------------------------------

interface Cut extends Account {
  image: string;
  description: string;
}

/** How many files were promised to be durable, as a whole or in part. */
function countPromised(promised: Account["promised"]): number {
  return [...promised.values()].filter(({ closed, synced }) => closed || synced > 0).length;
}

/** Lets a program write on and on, and takes cuts meanwhile. The disk is unmounted afterwards. */
async function cutAtRandom(
  disk: FaultyDisk,
  directory: string,
  { kind, engine, seed, type }: {
    kind: Account["kind"];
    engine: string;
    seed: number;
    type: FileSystem;
  },
): Promise<Cut[]> {
  const folder = disk.mount.path;
  // What is on its way takes longer, so that more of it is.
  await disk.disk.command("delay write 1");
  await disk.disk.command("delay flush 3");
  const args = [kind, folder, String(seed), "0", String(MOST_WRITTEN)];
  const child = spawn("write_on", { args, env: { DMA_ENGINE: engine } });
  child.stdin.close();
  const errors = new Response(child.stderr).text();
  let output = "";
  const decoder = new TextDecoder();
  const began = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const bytes of child.stdout) {
      output += decoder.decode(bytes, { stream: true });
      began.resolve();
    }
    began.resolve();
  })();
  await began.promise;
  const random = new Random(seed);
  const all: Cut[] = [];
  for (let index = 0; index < cuts; index++) {
    await new Promise((resolve) => setTimeout(resolve, 20 + random.below(200)));
    // However slow the machine is, there is something to lose.
    if (index === cuts - 1) await eventually(() => countPromised(promises(output)) > 0);
    const image = `${directory}/cut-${index}`;
    const promised = promises(output);
    const percent = [0, 100, 50, random.below(100)][index % 4]!;
    // btrfs has a superblock of 4,096 bytes, and does not mount if the disk tears it.
    const unit = random.chance(0.5) && type !== "btrfs" ? 512 : 4096;
    await cut(disk, image, { seed: seed + index, percent, unit });
    const description = `Seed ${seed}, cut ${index}, ${percent} percent of ${unit} bytes kept`;
    all.push({ kind, folder: "", seed, promised, loss: "power cut", image, description });
  }
  child.kill("SIGKILL");
  await reading;
  const { signal } = await child.status;
  assertEquals(signal, "SIGKILL", await errors);
  await errors;
  await disk.disk.command("clear");
  await disk.mount.unmount();
  return all;
}

for (const [turn, type] of fileSystems.entries()) {
  for (const [index, kind] of kinds.entries()) {
    const engine = engines[(turn + index) % engines.length]!;
    faultTest(
      `what was promised before a power cut is there, ${cuts} times [${kind}, ${engine}, ${type}]`,
      on(type),
      () =>
        onFaultyDisk(type, MEGABYTES, async (disk, directory) => {
          const seed = firstSeed + index;
          const all = await cutAtRandom(disk, directory, { kind, engine, seed, type });
          let synced = 0;
          for (const each of all) {
            await afterwards(type, each.image, async (folder) => {
              await assertKept({ ...each, folder });
            }).catch((cause) => {
              throw new Error(each.description, { cause });
            });
            synced += countPromised(each.promised);
          }
          assert(synced > 0, "Nothing was promised before any of the cuts");
        }),
    );
  }

  faultTest(
    `on a disk that lies about flushes what was promised is lost, which the check sees [${type}]`,
    on(type),
    () =>
      onFaultyDisk(type, MEGABYTES, async (disk, directory) => {
        await disk.disk.command("drop-flush 1");
        const all = await cutAtRandom(disk, directory, {
          kind: "new",
          engine: engines[0]!,
          seed: firstSeed,
          type,
        });
        let lost = 0;
        for (const each of all) {
          await afterwards(type, each.image, (folder) => assertKept({ ...each, folder }))
            .catch(() => lost++);
        }
        assert(lost > 0, "Nothing was lost");
      }),
  );
}

// ---- cuts right after a promise --------------------------------------------------------------------------------

/** Lets a program write one file, and cuts when it says that it has a promise. Throws where that is not kept. */
async function cutAfterPromise(
  type: FileSystem,
  what: Once,
  { engine, module, env }: { engine: string; module?: string; env?: Record<string, string> },
): Promise<void> {
  const { before, after } = lengths[what];
  await onFaultyDisk(type, MEGABYTES, async (disk, directory) => {
    const folder = disk.mount.path;
    if (before > 0) {
      // What is appended to stays; what is replaced is told from what replaces it.
      await Deno.writeFile(disk.file("file"), content(0, before, what === "replace" ? 2 : 1));
    }
    // Everything until now is durable.
    const { success } = await run("sync", ["-f", folder]);
    assert(success);
    const child = spawn("write_once", {
      args: [what, folder],
      env: { DMA_ENGINE: engine, ...env },
      ...module && { module },
    });
    const output = child.stdout.getReader();
    const { value } = await output.read();
    const images = [];
    if (value) {
      for (const [seed, percent] of [[1, 0], [2, 50], [3, 100]] as const) {
        const image = `${directory}/cut-${percent}`;
        await cut(disk, image, { seed, percent, unit: 512 });
        images.push(image);
      }
    }
    await output.cancel();
    await child.stdin.close();
    const errors = await new Response(child.stderr).text();
    assertEquals((await child.status).code, 0, errors);
    await disk.mount.unmount();
    for (const image of images) {
      const bytes = await afterwards(type, image, async (folder) => {
        return await Deno.readFile(`${folder}/file`).catch(() => new Uint8Array(0));
      });
      assertEquals(firstWrong(bytes, after, 1), -1, `The first wrong byte in ${image}`);
      if (["sync", "sync of a log", "later sync of a log"].includes(what)) {
        assertEquals(firstForeign(bytes, after, 1), -1);
      } else assertEquals(bytes.length, after, `The length in ${image}`);
    }
  });
}

for (const [turn, type] of fileSystems.entries()) {
  for (const [index, what] of (Object.keys(lengths) as Once[]).entries()) {
    const engine = engines[(turn + index) % engines.length]!;
    faultTest(
      `a power cut straight after a promise leaves exactly what was promised [${what}, ${engine}, ${type}]`,
      on(type),
      () => cutAfterPromise(type, what, { engine }),
    );
  }
}

/** Where the kernel lacks an operation the last steps of a file are not one chain, but one after the other. */
for (const what of ["close", "append", "replace", "seal"] as const) {
  faultTest(
    `a power cut straight after a promise leaves what was promised where io_uring cannot cut files [${what}, ext4]`,
    on("ext4", "io_uring"),
    async () => {
      const env = { DMA_LIBURING: await library("old_kernel"), OLD_KERNEL_LACKS: "55,35,39" };
      await cutAfterPromise("ext4", what, { engine: "io_uring", env });
    },
  );
}

/** Writers that are wrong, and the promise that each of them breaks. */
const mutants: readonly { name: string; what: Once; replacements: readonly Replacement[] }[] = [
  {
    name: "syncs before it cuts",
    what: "close",
    replacements: [{
      file: "src/writer/ending.ts",
      from: "[() => cut(file), sync,",
      to: "[sync, () => cut(file),",
    }],
  },
  {
    name: "closes without a sync",
    what: "append",
    replacements: [{
      file: "src/writer/ending.ts",
      from: "[() => cut(file), sync,",
      to: "[() => cut(file),",
    }],
  },
  {
    name: "leaves open files to the kernel at the end of a program",
    what: "end",
    replacements: [{
      file: "src/file/program_end.ts",
      from: "      begun = true;\n      writer.close();\n",
      to: "",
    }],
  },
  {
    name: "closes a log that is appended to without a sync",
    what: "true append",
    replacements: [{
      file: "src/writer/ending.ts",
      from: "[() => cut(file), sync,",
      to: "[() => cut(file),",
    }],
  },
  {
    name: "says that it synced and does not",
    // A new file would be made durable along with its name: syncing the directory flushes the whole disk.
    what: "sync of a log",
    replacements: [{
      file: "src/file/durability.ts",
      from: 'engine.submit({ op: "sync", fd, dataOnly }, { complete });',
      to: "complete(0);",
    }, {
      file: "src/writer/write_behind.ts",
      from: "syncs ? RWF_DSYNC : 0)",
      to: "0)",
    }],
  },
  {
    name: "says that a tail is durable, and writes it as any other",
    what: "later sync of a log",
    replacements: [{
      file: "src/writer/write_behind.ts",
      from: "syncs ? RWF_DSYNC : 0)",
      to: "0)",
    }],
  },
  {
    name: "renames and forgets the directory",
    what: "replace",
    replacements: [{
      file: "src/file/atomic.ts",
      from: "  await file.syncName();\n",
      to: "",
    }],
  },
];

for (const { name, what, replacements } of mutants) {
  folderTest(
    `the check after a power cut fails for a writer that ${name} [ext4]`,
    on("ext4"),
    async (directory) => {
      const module = await copyModule(`${directory}/module`, replacements);
      const options = { engine: engines[0]!, module };
      // It must have run to its promise, and only then be found out.
      await assertRejects(() => cutAfterPromise("ext4", what, options), Error, "cut-");
    },
  );
}
