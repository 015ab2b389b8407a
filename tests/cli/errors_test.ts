// An error is one line, which ends with a remedy if one is known. Nothing else is touched.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { quoted, remedyFor } from "../../cli/remedies.ts";
import { ioError } from "../../src/errors.ts";
import { FreshUser } from "../docs/fresh_user.ts";
import { run, runOrThrow } from "../setup/command.ts";
import { namesIn, pattern } from "../support/bytes.ts";
import { testOnce } from "../support/dirs.ts";
import { assertRefused, dma, shell, succeeds, testDma } from "./process.ts";

const PREFIX = /^dma: /;
const BUFFER_SIZE = /1M, at most 1 GiB; dma write --help says more\n$/;

/** Wrong arguments, separated by spaces, and the expected error. */
const wrong: [args: string, says: string | RegExp][] = [
  ["write --buffer-size many out", BUFFER_SIZE],
  ["write --buffer-size 2G out", BUFFER_SIZE],
  ["write --write-behind 0 out", "a whole number from 1 to 1024"],
  ["write --write-behind 1.5 out", PREFIX],
  ["write --direct maybe out", "Allowed choices are require, prefer, off"],
  ["write --flush-every often out", "a time such as 500ms, 1s or 5m"],
  ["write --flush-every 5 out", PREFIX],
  ["write --flush-every 61m out", PREFIX],
  ["write --size much out", "It must be a size such as 500M, 10G or 2T"],
  ["write --atomic --append out", PREFIX],
  ["write --direct require --append out", "'--direct require' cannot be used with option"],
  ["write --no-clobber --atomic out", "--no-clobber"],
  ["write --atomic -", "'--atomic' cannot be used with standard output"],
  ["copy --no-sync in -", "'--no-sync' cannot be used with standard output"],
  ["copy --preserve - out", "'--preserve' cannot be used with standard input"],
  ["copy --sparse always in out", "Allowed choices are auto, never"],
  ["write ", "It must not be empty"],
  ["write", "missing required argument 'dest'"],
  ["bench --size 1K", "from 1 MiB to 1 TiB"],
  ["completion bash --name $(x)", PREFIX],
  ["write --allow-read=/a x", "before the name of the program, as in deno run --allow-read=/a"],
  ["write -A x", "as in deno run -A ...\n"],
  ["help wriet", "(Did you mean write?)\n"],
  ["wriet --help", "(Did you mean write?)\n"],
  ["copy --bufer-size 1M a b", "(Did you mean --buffer-size?)\n"],
];

testDma("dma ends with 2 and makes no file if the arguments are wrong", async (dir) => {
  for (const [args, says] of wrong) {
    assertRefused(await dma(args.split(" "), undefined, { cwd: dir }), 2, says);
  }
  assertEquals(await namesIn(dir), []);
  const bare = await dma([]);
  assertEquals([bare.code, bare.stdout], [2, ""]);
  assertMatch(bare.stderr, /^Commands:\n {2}write <dest> /m);
});

const CAT = "; use cat or dd to write to anything but a regular file, and - for standard output\n";
const ITSELF = /Cannot write to .*: it is the file that is read\n$/;
const NO_UTF8 = /It must be UTF-8: name the file by a symbolic link; dma .* --help says more\n$/;

/** Commands, in a directory with the files `in`, `out` and `hard`, which is `in`, and their errors and remedies. */
const refused: [command: string, says: string | RegExp, code?: number][] = [
  ["write 'a b/out' < in", "; make its directory first: mkdir -p 'a b'\n"],
  ["copy -- in -a/out", "; make its directory first: mkdir -p ./-a\n"],
  ["copy in /proc/x", "open '/proc/x'; no file can be made there: findmnt -T /proc\n"],
  ["copy in no/", "; make the directory first: mkdir -p no/\n"],
  ["write ./ < in", "; name a file in it, such as ./NAME\n"],
  ["copy in out/", "; it is a file: leave out the slash at the end\n"],
  ["copy . out", "; pack it first: tar c . | dma write out\n"],
  ["read .", "; pack it first: tar c .\n"],
  ["write out < .", "read '/dev/stdin'; pack it first: tar c FOLDER | dma write out\n"],
  ["read missing", "No such file or directory (os error 2): stat 'missing'\n"],
  ["write /dev/null < in", CAT],
  ["write --atomic fifo < in", CAT],
  ["write --atomic descriptor < in > new", CAT],
  // It makes no claim about the directory of a dangling link.
  ["write dangling < in", /No such file or directory(?!.*mkdir)/],
  ["copy --no-clobber in out", "open 'out'; without --no-clobber it would be replaced\n"],
  ["read in > /dev/full", "dma: No space left on device (os error 28)\n"],
  ["bench --seconds 1 --size 1M > /dev/full", "dma: No space left on device (os error 28)\n"],
  ["write --json new < /dev/null > /dev/full", /Cannot print the JSON.*: No space.* in new\n$/],
  ["copy in hard", ITSELF],
  ["copy in .", ITSELF],
  ["write --append in < in", ITSELF],
  ["copy /dev/stdin in < in", ITSELF],
  ["read in >> in", ITSELF],
  // Deno cannot pass this name on.
  [String.raw`write $'odd\377name' < in`, NO_UTF8, 2],
  [String.raw`doctor $'odd\377name'`, NO_UTF8, 2],
];

testDma("dma names what to do about a path, and changes nothing", async (dir) => {
  for (const name of ["in", "out"]) await Deno.writeTextFile(`${dir}/${name}`, name);
  await Deno.link(`${dir}/in`, `${dir}/hard`);
  await Deno.symlink("nowhere/file", `${dir}/dangling`);
  // As /dev/stdout.
  await Deno.symlink("/proc/self/fd/1", `${dir}/descriptor`);
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  const few = `--allow-ffi --allow-read=${dir} --allow-write=${dir}`;
  for (const [command, says, code = 1] of refused) {
    // What is in /dev needs all permissions.
    const flags = /\/(dev|proc)\//.test(command) ? "-A" : few;
    assertRefused(await shell(dir, `dma ${command}`, flags), code, says);
  }
  assertEquals(await namesIn(dir), ["dangling", "descriptor", "fifo", "hard", "in", "new", "out"]);
  for (const name of ["in", "out"]) assertEquals(await Deno.readTextFile(`${dir}/${name}`), name);
});

testDma("dma write to a FIFO does not disturb its reader", async (dir) => {
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  const script = `(read -r line < fifo; echo "got $line") & dma write fifo < /dev/null; code=$?
    timeout 60 sh -c 'echo a line > fifo'; wait; exit $code`;
  const { code, stdout } = await shell(dir, script);
  assertEquals([code, stdout], [1, "got a line\n"]);
});

testDma("dma without a permission names the flags and their place", async (dir) => {
  /** Runs `dma write` with each flag missing, and then with those that its error names. */
  const assertNamed = async (args: string[], ...wanted: string[]) => {
    const says = `; give ${wanted.join(" ")} before the name of the program\n`;
    for (const missing of wanted) {
      const flags = wanted.filter((flag) => flag !== missing);
      assertRefused(await dma(["write", ...args], undefined, { flags }), 1, says);
    }
    await succeeds(["write", ...args], undefined, { flags: wanted });
  };
  const flags = (at = "") => ["--allow-ffi", `--allow-read${at}`, `--allow-write${at}`];
  await assertNamed([`${dir}/out`], ...flags(`=${dir}/out`));
  // An atomic file needs those for its directory.
  await assertNamed(["--atomic", `${dir}/out`], ...flags(`=${dir}`));
  // For Deno a comma separates two paths.
  await assertNamed([`${dir}/a,b`], ...flags());
  const all = "; give --allow-all before the name of the program\n";
  assertRefused(await dma(["read", "/proc/version"], undefined, { flags: flags() }), 1, all);
});

testDma("dma reports a limit on the size of files", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(9_000_000));
  // Deno writes to its caches too: those of an old account exceed the limit, and fresh ones reach half of it.
  const { cache } = await FreshUser.in(dir);
  const limited = (args: string) => shell(dir, `ulimit -f 8000; DENO_DIR=${cache} dma ${args}`);
  const error = "dma: File too large (os error 27)";
  const remedy = "; if a limit is the reason, ulimit -f unlimited lifts it";
  const { code, stderr } = await limited("copy --buffer-size 64K in out");
  const { size } = await Deno.stat(`${dir}/out`);
  const kept = `dma: failed; kept the first ${size} bytes in out`;
  // A write across the limit is shortened first, and the error names the position.
  const told = stderr.replace(": the write stops at 8192000", "");
  assertEquals([code, told], [1, `${error}: write 'out'${remedy}\n${kept}\n`]);
  assertEquals(await Deno.readFile(`${dir}/out`), pattern(9_000_000).subarray(0, size));
  const read = await limited("read in > read");
  assertEquals([read.code, read.stderr], [1, `${error}\n`]);
}, { bothEngines: true });

testDma("remedyFor() knows errors that need a special machine", async (parent) => {
  const dir = `${parent}/it's`;
  await Deno.mkdir(dir);
  const [dest, missing] = [`${dir}/out`, `${dir}/missing`];
  const [folder, file] = [quoted(dir), quoted(dest)];
  await Deno.writeTextFile(dest, "");
  const [EPERM, EACCES, ETXTBSY, ENOSPC, EROFS] = [1, 13, 26, 28, 30] as const;
  const not = "the permissions of the file system forbid it, not Deno's: ls -l";
  const opening = (errno: number, path = dest) => ioError(errno, "open", path);
  const remedies: [error: unknown, remedy?: string, dest?: string][] = [
    [opening(EACCES), `${not}d ${folder} ${file}`],
    [opening(EACCES, missing), `${not}d ${folder}`, missing],
    [ioError(EACCES, "read", "in"), `${not} in`],
    [opening(EPERM), `lsattr -d ${folder} ${file} shows what is immutable or append-only`],
    [ioError(EPERM, "open", dest, "it belongs to another user, and its directory is sticky")],
    [opening(ENOSPC), `make room, or write elsewhere: df -h ${folder}`],
    [opening(EROFS), `its file system is mounted read-only: findmnt -T ${folder}`],
    [opening(ETXTBSY), "it is a program that is running: --atomic replaces it"],
    [opening(9999)],
    [new Error("anything")],
    ["no error at all"],
  ];
  for (const [error, remedy, to = dest] of remedies) {
    assertEquals(remedyFor(error, { dest: to, source: "in", sourceOpen: true }), remedy);
  }
});

/** Controls, separators, and a tag that are invisible or change the direction of text, and then letters that stay. */
const DECEIVING = "a\u202eb\u2067c\u2069d\u2028e\u2029f\x1bg\x9bh\u{e0041}i\nj\tŻ نامه‌ای 名 👩‍👧";
const SPELT = String
  .raw`a\u202eb\u2067c\u2069d\u2028e\u2029f\u001bg\u009bh\U000e0041i\nj\tŻ نامه‌ای 名 👩‍👧`;

function assertHarmless(text: string): void {
  const unseen = text.replaceAll(/[\u200c\u200d]/g, "").match(/[^\n\P{Cc}]|\p{Cf}|\p{Zl}|\p{Zp}/gu);
  assertEquals(unseen, null, JSON.stringify(text));
}

testDma("dma spells out invisible characters of names wherever it prints them", async (dir) => {
  const path = `${dir}/${DECEIVING}`;
  const runs: [args: string[], says?: string][] = [
    [["write", path], `to ${dir}/${SPELT}; `],
    [["write", "--json", path]],
    [["copy", path, `${path}.missing/x`], `mkdir -p $'${dir}/${SPELT}.missing'\n`],
    [["doctor", path], `Path          ${dir}/${SPELT}: `],
    [["doctor", "--json", path]],
    // The end of a line in an option becomes a space.
    [["write", `--${DECEIVING}`], SPELT.split("\\n")[0]!],
  ];
  for (const [args, says] of runs) {
    const { stdout, output } = await dma(args);
    assertHarmless(output);
    if (says) assertStringIncludes(output, says);
    else assertMatch(JSON.stringify(JSON.parse(stdout)), /"path":"[^"]*a\u202eb/);
  }
  assertEquals(await namesIn(dir), [DECEIVING]);
});

testOnce("quoted() gives one word, which a shell reads as the same path", async () => {
  assertEquals(["/a/b-c.txt", "-a"].map(quoted), ["/a/b-c.txt", "./-a"]);
  for (const path of ["a b", "it's", "$HOME", "", "it's\\\n", "it's\\\u202e", DECEIVING]) {
    const options = { env: { LC_ALL: "C.UTF-8" } };
    assertEquals((await run("bash", ["-c", `printf %s ${quoted(path)}`], options)).stdout, path);
    assertHarmless(quoted(path));
  }
});
