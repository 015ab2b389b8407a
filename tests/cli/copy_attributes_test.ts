// `copy` sets mode, owner and times like cp(1), and a private file is never readable by other users meanwhile.

import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { endOf, hasProgram, pause, run, runOrThrow } from "../setup/command.ts";
import { pattern } from "../support/bytes.ts";
import { testDirectAndCached, type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { DMA, interrupt, spawn, succeeds, testInDirectory } from "./process.ts";

const isRoot = Deno.uid() === 0;
const mayDropRights = isRoot && hasProgram("setpriv");

async function make(path: string, mode: number, { owner = false, length = 5000 } = {}) {
  // An existing file may be read-only.
  await Deno.remove(path).catch(() => {});
  await Deno.writeFile(path, pattern(length));
  if (owner) await Deno.chown(path, 1, 2);
  await Deno.chmod(path, mode);
}

/** The compared attributes of a file: permissions, owner and, with `times`, the time of its last change. */
function attributes(path: string, times = false): Promise<string> {
  return runOrThrow("stat", ["-c", times ? "%a %u %g %y" : "%a %u %g", path]);
}

function under(umask: string, ...command: string[]): Promise<string> {
  return runOrThrow("sh", ["-c", `umask ${umask}; exec "$@"`, "sh", ...command]);
}

/** Runs the command line, and repeatedly `look` meanwhile. */
async function whileRunning(args: string[], look: () => void): Promise<void> {
  const child = spawn(args);
  await child.stdin.close();
  let running = true;
  const ran = endOf(child).finally(() => running = false);
  while (running) {
    look();
    await pause(0);
  }
  const { code, stderr } = await ran;
  assertEquals([code, stderr], [0, ""]);
}

interface Copying {
  mode: number;
  umask?: string;
  /** The mode of an existing file. */
  existing?: number;
  preserve?: boolean;
  length?: number;
}

/** Throws unless `dma copy` has the same result as `cp`. */
async function assertAsCp(dir: TestDirectory, copying: Copying): Promise<void> {
  const { mode, umask = "022", existing, preserve = false, length = 5000 } = copying;
  const source = dir.file("source");
  await make(source, mode, { owner: isRoot, length });
  const left = async (name: string, ...command: string[]) => {
    const target = dir.file(name);
    await Deno.remove(target).catch(() => {});
    if (existing !== undefined) await make(target, existing);
    await under(umask, ...command, ...preserve ? ["-p"] : [], source, target);
    return await attributes(target, preserve);
  };
  const byCp = await left("cp", "cp");
  assertEquals(await left("dma", ...DMA, "copy", "--quiet"), byCp, JSON.stringify(copying));
}

testInOneDirectory("dma copy gives the mode that cp gives", async (dir) => {
  for (const mode of [0o600, 0o640, 0o755, 0o666, 0o400, 0o4755]) await assertAsCp(dir, { mode });
  for (const more of [{ umask: "077" }, { existing: 0o644 }, { existing: 0o600 }]) {
    await assertAsCp(dir, { mode: 0o755, ...more });
  }
}, { bothEngines: false });

testDirectAndCached("dma copy --preserve leaves what cp -p leaves", async (dir) => {
  for (const mode of [0o600, 0o666, 0o4755]) await assertAsCp(dir, { mode, preserve: true });
  await assertAsCp(dir, { mode: 0o600, preserve: true, existing: 0o644 });
  await assertAsCp(dir, { mode: 0o666, preserve: true, length: 0 });
}, { bothEngines: false });

testInDirectory("dma copy of a 0600 file is never readable by others", async (dir) => {
  const [source, target] = [`${dir}/key`, `${dir}/copy`];
  await make(source, 0o600, { length: 10_000_000 });
  for (const args of [[], ["--atomic"], ["--preserve"], ["--preserve", "--atomic"]]) {
    await Deno.remove(target).catch(() => {});
    const seen = new Set<number>();
    await whileRunning(["copy", "--quiet", ...args, source, target], () => {
      for (const { name } of Deno.readDirSync(dir)) {
        if (name !== "key") seen.add(Deno.lstatSync(`${dir}/${name}`).mode! & 0o777);
      }
    });
    assertEquals([...seen], [0o600], `${args}`);
  }
  // A file that everybody may read is first restricted.
  await make(target, 0o644);
  await whileRunning(["copy", "--quiet", "--preserve", source, target], () => {
    const { size, mode } = Deno.statSync(target);
    // Empty, or unchanged.
    if (size !== 5000 && size !== 0) assertEquals(mode! & 0o777, 0o600, `${size}`);
  });
});

testInOneDirectory("dma --atomic over a file keeps its mode and owner", async (dir) => {
  const [source, target] = [dir.file("source"), dir.file("target")];
  await make(source, 0o600);
  for (const mode of [0o640, 0o666, 0o444]) {
    for (const args of [["copy", "--atomic", source, target], ["write", "--atomic", target]]) {
      await make(target, mode, { owner: isRoot });
      const before = { ino: (await Deno.stat(target)).ino, attributes: await attributes(target) };
      await succeeds(args, pattern(7000));
      assertEquals(await attributes(target), before.attributes, args[0]);
      assertNotEquals((await Deno.stat(target)).ino, before.ino, "The file was not replaced");
    }
  }
}, { bothEngines: false });

testInDirectory("dma --atomic gives a group that cannot be kept no old rights", async (dir) => {
  const target = `${dir}/target`;
  const withoutChown = ["setpriv", "--inh-caps=-chown", "--bounding-set=-chown", ...DMA];
  for (const [mode, expected] of [[0o640, "600 0 0"], [0o664, "644 0 0"]] as const) {
    await make(target, mode, { owner: true });
    await under("022", ...withoutChown, "copy", "--atomic", "--quiet", "/etc/hostname", target);
    assertEquals(await attributes(target), expected);
  }
}, { ignore: !mayDropRights });

testInDirectory("dma copy --preserve fails if mode and times may not be set", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  await make(source, 0o600);
  await make(target, 0o666, { owner: true });
  const rights = ["--inh-caps=-chown,-fowner", "--bounding-set=-chown,-fowner"];
  const copy = [...rights, ...DMA, "copy", "--preserve", source, target];
  const { code, stderr } = await run("setpriv", copy);
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, `dma: Cannot preserve mode and times in '${target}'`);
  assertEquals(await Deno.readFile(target), pattern(5000));
}, { ignore: !mayDropRights });

testInDirectory("dma copy --preserve that is stopped has no times of the source", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  await make(source, 0o644, { length: 0 });
  // Holes, so that it takes no space here and long enough to copy.
  await Deno.truncate(source, 4 * 1024 ** 3);
  await Deno.utime(source, 1e9, 1e9);
  const begun = () => Deno.stat(target).then(({ size }) => size > 0, () => false);
  const args = ["copy", "--preserve", "--sparse", "never", source, target];
  const { code, stderr } = await interrupt(args, { begun });
  assertEquals(code, 130, stderr);
  const { mode, mtime } = await Deno.stat(target);
  assertEquals(mode! & 0o777, 0o600);
  assert(mtime!.getTime() > 1e12, "It looks as old as its source, and is not whole");
});
