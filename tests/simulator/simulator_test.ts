// The simulator in the suite: programs that once failed, new ones, and mistakes. `deno task simulate` runs more.

import { assert, assertEquals } from "@std/assert";
import { AT_FDCWD, O_CREAT } from "../../src/engine/linux.ts";
import { testInEachDirectory, testInOneDirectory, testOnce } from "../support/dirs.ts";
import { controls } from "./controls.ts";
import { DescriptorTable } from "./kernel/descriptors.ts";
import { DirectoryTree } from "./kernel/directory_tree.ts";
import { flightOf } from "./kernel/flight.ts";
import { Mirror } from "./kernel/mirror.ts";
import { loadModule } from "./run/module.ts";
import { commandOf, findControl, type Report, simulateInWorkers } from "./run/workers.ts";
import { seeds } from "./seeds.ts";

/** The time for new programs, and for those on a real file system. */
const NEW_MS = 30_000;
const REAL_MS = 1000;

/** These mistakes are found within a second or two, each by a different promise. */
const quick: ReadonlySet<string> = new Set([
  "syncs before it cuts",
  "takes a short write for a whole one",
  "moves the flushed position past a hole",
  "pads over bytes that are to stay",
  "loses a buffer that is written",
  "gives a buffer back before it is written",
]);

function shown({ failures }: Report, real?: string): string {
  return failures.map((each) => `${each.message}\n  ${commandOf(each, real)}`).join("\n");
}

/** The texts of all files below a directory. */
async function textsIn(directory: URL): Promise<string[]> {
  const entries = (await Array.fromAsync(Deno.readDir(directory)))
    .toSorted((one, other) => one.name < other.name ? -1 : 1);
  const texts = entries.map(async ({ name, isDirectory }) => {
    const url = new URL(isDirectory ? `${name}/` : name, directory);
    return isDirectory ? (await textsIn(url)).join("") : await Deno.readTextFile(url);
  });
  return await Promise.all(texts);
}

/** The first seed of new programs. A change of the module brings new ones, and a failure is the same on each machine. */
async function newSeed(): Promise<number> {
  const text = (await textsIn(new URL("../../src/", import.meta.url))).join("");
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Number(new DataView(hash).getBigUint64(0) >> 24n);
}

testOnce("Programs that once broke a promise keep all of them", async () => {
  const report = await simulateInWorkers({ seeds, milliseconds: 60_000 });
  assertEquals(report.tally.programs, seeds.length);
  assertEquals(shown(report), "");
});

testOnce("New programs on a simulated kernel keep every promise", async () => {
  const report = await simulateInWorkers({ seeds: await newSeed(), milliseconds: NEW_MS });
  assert(report.tally.programs > 0);
  assertEquals(shown(report), "");
});

testInEachDirectory("The real kernel does to files what the simulated one does", async (dir) => {
  const runs = { seeds: await newSeed(), milliseconds: REAL_MS, real: dir.path };
  const report = await simulateInWorkers(runs, 1);
  assert(report.tally.programs > 0);
  assertEquals(shown(report, dir.path), "");
}, { bothEngines: false });

testInOneDirectory("A difference between the kernels is found", ({ path }) => {
  const mirror = new Mirror(path);
  const tree = new DirectoryTree();
  const disk = tree.makeDirectory(tree.root, "disk");
  mirror.begin(tree);
  const at = { directory: AT_FDCWD, name: "/disk/one", mode: 0, resolve: 0 };
  const perform = (flags: number, result: number) => {
    const flight = flightOf({ op: "open", ...at, flags }, new DescriptorTable(false, 1), tree);
    return mirror.perform({ ...flight, result });
  };
  assertEquals(perform(0, 3), "the real kernel returns -2, and not 3");
  assertEquals(perform(O_CREAT, 3), undefined);
  tree.place(disk, "two", tree.makeFile());
  assertEquals(mirror.end(), "/disk has one, and not two");
}, { bothEngines: false });

testOnce("Every mistake can be made in the module as it is", async () => {
  for (const { name, changes } of controls) {
    await loadModule(changes).catch((cause) => {
      throw new Error(`No module ${name}`, { cause });
    });
  }
});

Deno.test("tests/README.md lists every mistake", async () => {
  const page = await Deno.readTextFile(new URL("../README.md", import.meta.url));
  const listed = new Set(Array.from(page.matchAll(/^\| (.+?) +\|/gm), ([, name]) => name));
  assertEquals(controls.filter(({ name }) => !listed.has(name)), []);
});

for (const control of controls.filter(({ name }) => quick.has(name))) {
  testOnce(`A module that ${control.name} is found out`, async () => {
    const { failures } = await findControl(control, 20_000);
    assert(failures.length > 0, "no program breaks a promise");
  });
}
