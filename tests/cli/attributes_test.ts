// `copy` sets mode, owner and times like cp(1), and a private file is never readable by other users meanwhile.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { eventually, pause, run, runOrThrow } from "../setup/command.ts";
import { assertFile, joined, pattern } from "../support/bytes.ts";
import { DMA, Running, succeeds, testDma } from "./process.ts";

const isRoot = Deno.uid() === 0;

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

/** Modes of the source, the arguments of cp, the umask, and the mode of an existing file. */
const copyings: [modes: number[], args: string[], umask: string, existing?: number][] = [
  [[0o600, 0o640, 0o755, 0o666, 0o400, 0o4755], [], "022"],
  [[0o755], [], "077"],
  [[0o755], [], "022", 0o644],
  [[0o755], [], "022", 0o600],
  [[0o600, 0o666, 0o4755], ["-p"], "022"],
  [[0o600], ["-p"], "022", 0o644],
];

testDma("dma copy gives the attributes that cp gives, and cp -p with --preserve", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  for (const [modes, args, umask, existing] of copyings) {
    for (const mode of modes) {
      // An empty file too.
      await make(source, mode, { owner: isRoot, length: mode === 0o666 ? 0 : 5000 });
      const left = async (...command: string[]) => {
        await Deno.remove(target).catch(() => {});
        if (existing !== undefined) await make(target, existing);
        await under(umask, ...command, ...args, source, target);
        return await attributes(target, args.includes("-p"));
      };
      const byCp = await left("cp");
      assertEquals(await left(...DMA, "copy", "--quiet"), byCp, `${mode.toString(8)} ${args}`);
    }
  }
});

testDma("dma copy of a 0600 file is never readable by others", async (dir) => {
  const [source, target] = [`${dir}/key`, `${dir}/copy`];
  await make(source, 0o600, { length: 10_000_000 });
  for (const args of [[], ["--atomic"], ["--preserve"], ["--preserve", "--atomic"]]) {
    await Deno.remove(target).catch(() => {});
    let hasEnded = false;
    const copied = succeeds(["copy", ...args, source, target]).finally(() => hasEnded = true);
    const seen = new Set<number>();
    for (let isLast = false; !isLast;) {
      await pause(0);
      isLast = hasEnded;
      for (const { name } of Deno.readDirSync(dir)) {
        if (name !== "key") seen.add(Deno.lstatSync(`${dir}/${name}`).mode! & 0o777);
      }
    }
    await copied;
    assertEquals([...seen], [0o600], `${args}`);
  }
});

testDma("dma --atomic over a file or a link to it keeps its mode and owner", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  await make(source, 0o600);
  for (const mode of [0o640, 0o666, 0o444]) {
    const link = `${dir}/${mode}`;
    await Deno.symlink("target", link);
    for (const args of [["copy", "--atomic", source, target], ["write", "--atomic", link]]) {
      await make(target, mode, { owner: isRoot });
      const before = { ino: (await Deno.stat(target)).ino, attributes: await attributes(target) };
      await succeeds(args, pattern(7000));
      assertEquals(await attributes(args.at(-1)!), before.attributes, args[0]);
      assert((await Deno.stat(args.at(-1)!)).ino !== before.ino, "The file was not replaced");
    }
  }
});

/** The arguments with which setpriv runs dma with fewer rights. */
const without = (rights: string) => [`--inh-caps=${rights}`, `--bounding-set=${rights}`, ...DMA];

testDma("dma writes to a file that it may not read, as cp does", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  await make(source, 0o600);
  await make(target, 0o200);
  for (const args of [[], ["--append"]]) {
    const copy = ["copy", "--quiet", ...args, source, target];
    await runOrThrow("setpriv", [...without("-dac_override,-dac_read_search"), ...copy]);
  }
  await assertFile(target, joined(pattern(5000), pattern(5000)));
}, { needs: ["root", "setpriv"] });

testDma("dma gives a group that cannot be kept no old rights, and says so", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  await make(source, 0o600);
  for (const [mode, expected] of [[0o640, "600 0 0"], [0o664, "644 0 0"]] as const) {
    await make(target, mode, { owner: true });
    const copy = [...without("-chown"), "copy", "--atomic", "--quiet", source, target];
    await under("022", "setpriv", ...copy);
    assertEquals(await attributes(target), expected);
  }
  // A set-user-ID bit would give the rights of another user.
  await make(source, 0o4755, { owner: true });
  await Deno.remove(target);
  const preserve = ["copy", "--preserve", "--quiet", source, target];
  await runOrThrow("setpriv", [...without("-chown"), ...preserve]);
  assertEquals(await attributes(target), "755 0 0");
  await make(target, 0o666, { owner: true });
  const copy = [...without("-chown,-fowner"), "copy", "--preserve", source, target];
  const { code, stderr } = await run("setpriv", copy);
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, `dma: Cannot preserve mode and times in '${target}'`);
  await assertFile(target, pattern(5000));
}, { needs: ["root", "setpriv"] });

testDma("dma copy --preserve that is stopped has a private file and its own times", async (dir) => {
  const [source, target] = [`${dir}/source`, `${dir}/target`];
  await make(source, 0o644, { length: 0 });
  // Holes, so that it takes no space here and long enough to copy.
  await Deno.truncate(source, 4 * 1024 ** 3);
  await Deno.utime(source, 1e9, 1e9);
  await make(target, 0o644);
  await using running = new Running(["copy", "--preserve", "--sparse", "never", source, target]);
  await eventually(async () => (await Deno.stat(target)).size > 5000, "Nothing was written");
  assertEquals((await running.stop("SIGINT")).code, 130);
  const { mode, mtime } = await Deno.stat(target);
  assertEquals(mode! & 0o777, 0o600);
  assert(mtime!.getTime() > 1e12, "It looks as old as its source, and is not whole");
});
