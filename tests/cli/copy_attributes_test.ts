// `copy` leaves mode, owner and times as cp(1) does, and lets nobody read in between what only some may.
import { eventually } from "../support/descriptors.ts";
import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { testDirectAndCached, type TestDirectory, testInOneDirectory } from "../support/dirs.ts";
import { pattern } from "../support/bytes.ts";
import { CLI, dma, output, spawn, testInDirectory } from "./process.ts";
import { hasProgram, run, runOrThrow } from "../setup/command.ts";

const isRoot = Deno.uid() === 0;
const DMA = [Deno.execPath(), "run", "-A", "--no-check", CLI];

async function make(path: string, mode: number, owner?: [uid: number, gid: number]): Promise<void> {
  // One that is there may be read-only.
  await Deno.remove(path).catch(() => {});
  await Deno.writeFile(path, pattern(5000));
  if (owner) await Deno.chown(path, ...owner);
  await Deno.chmod(path, mode);
}

/** What counts of a file beside its bytes: permissions, owner and, with `times`, when it was changed. */
function attributes(path: string, times = false): Promise<string> {
  return runOrThrow("stat", ["-c", times ? "%a %u %g %y" : "%a %u %g", path]);
}

/** Runs a command under a umask. */
function under(umask: string, ...command: string[]): Promise<string> {
  return runOrThrow("sh", ["-c", `umask ${umask}; exec "$@"`, "sh", ...command]);
}

/** Runs the command line, and `look` again and again meanwhile. */
async function whileRunning(args: string[], look: () => void): Promise<void> {
  const child = spawn(...args);
  await child.stdin.close();
  let running = true;
  const ran = output(child).finally(() => running = false);
  while (running) {
    look();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const { code, stderr } = await ran;
  assertEquals([code, stderr], [0, ""]);
}

/** What `cp` and `dma copy` make of one file. */
async function bothCopies(
  dir: TestDirectory,
  mode: number,
  { umask = "022", existing, preserve = false }: {
    umask?: string;
    existing?: number;
    preserve?: boolean;
  } = {},
): Promise<[cp: string, dma: string]> {
  const [source, byCp, byDma] = [dir.file("source"), dir.file("cp"), dir.file("dma")];
  await make(source, mode, isRoot ? [1, 2] : undefined);
  for (const target of [byCp, byDma]) {
    await Deno.remove(target).catch(() => {});
    if (existing !== undefined) await make(target, existing);
  }
  await under(umask, "cp", ...(preserve ? ["-p"] : []), source, byCp);
  await under(umask, ...DMA, "copy", "--quiet", ...(preserve ? ["-p"] : []), source, byDma);
  return [await attributes(byCp, preserve), await attributes(byDma, preserve)];
}

testInOneDirectory("dma copy gives the mode that cp gives", async (dir) => {
  for (const mode of [0o600, 0o640, 0o755, 0o666, 0o400, 0o4755]) {
    const [cp, dma] = await bothCopies(dir, mode);
    assertEquals(dma, cp, mode.toString(8));
  }
  for (const options of [{ umask: "077" }, { existing: 0o644 }, { existing: 0o600 }]) {
    const [cp, dma] = await bothCopies(dir, 0o755, options);
    assertEquals(dma, cp, JSON.stringify(options));
  }
}, { bothEngines: false });

testDirectAndCached("dma copy --preserve leaves what cp -p leaves", async (dir) => {
  for (const mode of [0o600, 0o666, 0o4755]) {
    const [cp, dma] = await bothCopies(dir, mode, { preserve: true });
    assertEquals(dma, cp, mode.toString(8));
  }
  const [cp, dma] = await bothCopies(dir, 0o600, { preserve: true, existing: 0o644 });
  assertEquals(dma, cp);
}, { bothEngines: false });

testInDirectory("dma copy of a 0600 file is never readable by others", async (dir) => {
  const [source, target] = [`${dir}/key`, `${dir}/copy`];
  await Deno.writeFile(source, pattern(10_000_000));
  await Deno.chmod(source, 0o600);
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
});

testInDirectory(
  "dma copy --preserve over a file that all may read closes it first",
  async (dir) => {
    const [source, target] = [`${dir}/key`, `${dir}/copy`];
    await Deno.writeFile(source, pattern(10_000_000));
    await Deno.chmod(source, 0o600);
    await make(target, 0o644);
    await whileRunning(["copy", "--quiet", "--preserve", source, target], () => {
      const { size, mode } = Deno.statSync(target);
      // Empty, or as it was before.
      if (size !== 5000 && size !== 0) assertEquals(mode! & 0o777, 0o600, `${size}`);
    });
  },
);

testInOneDirectory("dma --atomic over a file keeps its mode and owner", async (dir) => {
  const [source, target] = [dir.file("source"), dir.file("target")];
  await make(source, 0o600);
  for (const mode of [0o640, 0o666, 0o444]) {
    for (const args of [["copy", "--atomic", source, target], ["write", "--atomic", target]]) {
      await Deno.remove(target).catch(() => {});
      await make(target, mode, isRoot ? [1, 2] : undefined);
      const before = { ino: (await Deno.stat(target)).ino, attributes: await attributes(target) };
      const { code, stderr } = await dma(args, pattern(7000));
      assertEquals(code, 0, stderr);
      assertEquals(await attributes(target), before.attributes, args[0]);
      assertNotEquals((await Deno.stat(target)).ino, before.ino, "The file was not replaced");
    }
  }
}, { bothEngines: false });

testInDirectory(
  "dma --atomic gives a group that cannot be kept no rights of the old one",
  async (dir) => {
    const target = `${dir}/target`;
    const withoutChown = ["setpriv", "--inh-caps=-chown", "--bounding-set=-chown", ...DMA];
    for (const [mode, expected] of [[0o640, "600 0 0"], [0o664, "644 0 0"]] as const) {
      await Deno.remove(target).catch(() => {});
      await make(target, mode, [1, 2]);
      await under("022", ...withoutChown, "copy", "--atomic", "--quiet", "/etc/hostname", target);
      assertEquals(await attributes(target), expected);
    }
  },
  { ignore: !isRoot || !hasProgram("setpriv") },
);

testInDirectory("dma copy --preserve fails if mode and times may not be set", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  await make(source, 0o600);
  await make(target, 0o666, [1, 2]);
  const args = ["--inh-caps=-chown,-fowner", "--bounding-set=-chown,-fowner", ...DMA];
  const preserving = [...args, "copy", "--preserve", source, target];
  const { code, stderr } = await run("setpriv", preserving);
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, `dma: Cannot preserve mode and times in '${target}'`);
  assertEquals(await Deno.readFile(target), pattern(5000));
}, { ignore: !isRoot || !hasProgram("setpriv") });

testInDirectory("dma copy --preserve that is stopped has no times of the source", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  // Holes, so that it takes no space here and long enough to copy.
  await Deno.writeFile(source, new Uint8Array());
  await Deno.truncate(source, 4 * 1024 ** 3);
  await Deno.chmod(source, 0o644);
  await Deno.utime(source, 1e9, 1e9);
  const child = spawn("copy", "--preserve", "--sparse", "never", source, target);
  const ran = output(child);
  await child.stdin.close();
  await eventually(
    () => Deno.stat(target).then(({ size }) => size > 0, () => false),
    "Nothing came",
  );
  child.kill("SIGINT");
  const { code, stderr } = await ran;
  assertEquals(code, 130, stderr);
  const { mode, mtime } = await Deno.stat(target);
  assertEquals(mode! & 0o777, 0o600);
  assert(mtime!.getTime() > 1e12, "It looks as old as its source, and is not whole");
});
