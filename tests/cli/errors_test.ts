// Errors come in one line that ends in what to do next, and only where that is true.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { quoted, remedyFor } from "../../cli/remedies.ts";
import { ioError } from "../../src/errors.ts";
import { namesIn, pattern } from "../support/bytes.ts";
import { CLI, dma, shell, testInDirectory } from "./process.ts";
import { testOnce } from "../support/once.ts";
import { run, runOrThrow } from "../setup/command.ts";

const ENOSPC = 28;
const EACCES = 13;
const EPERM = 1;
const EROFS = 30;
const ETXTBSY = 26;

async function errorOf(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await dma(args, pattern(10));
  assertEquals([code, stdout], [1, ""], stderr);
  assertMatch(stderr, /^dma: [^\n]*\n$/);
  return stderr;
}

testInDirectory(
  "dma write into a missing directory names the command that makes it",
  async (dir) => {
    const error = await errorOf("write", `${dir}/a b/out`);
    assertStringIncludes(error, `; make its directory first: mkdir -p '${dir}/a b'\n`);
  },
);

testInDirectory("dma write to a directory asks for a name in it", async (dir) => {
  assertStringIncludes(
    await errorOf("write", `${dir}/`),
    `; name a file in it, such as ${dir}/NAME\n`,
  );
});

testInDirectory("dma copy of a directory says how to pack it", async (dir) => {
  assertStringIncludes(
    await errorOf("copy", dir, `${dir}/out`),
    `; pack it first: tar c ${dir} | dma write ${dir}/out\n`,
  );
});

testInDirectory("dma write of a directory says how to pack it", async (dir) => {
  await Deno.writeTextFile(`${dir}/out`, "old");
  const { code, stderr } = await shell(dir, 'dma write "$dir/out" < "$dir"');
  assertEquals([code, stderr], [
    1,
    "dma: Is a directory (os error 21): read '/dev/stdin'; " +
    `pack it first: tar c FOLDER | dma write ${dir}/out\n`,
  ]);
  assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
});

testInDirectory("dma tells names with control characters in one line", async (dir) => {
  assertEquals(
    await errorOf("write", `${dir}/a\nb\x1b[1m/c`),
    String.raw`dma: No such file or directory (os error 2): open '${dir}/a\nb\u001b[1m/c'; ` +
      String.raw`make its directory first: mkdir -p $'${dir}/a\nb\u001b[1m'` + "\n",
  );
  const { stderr } = await dma(["write", `${dir}/a\nb`]);
  assertStringIncludes(stderr, String.raw`dma: wrote 0 bytes to ${dir}/a\nb; `);
  assertEquals(await namesIn(dir), ["a\nb"]);
});

testInDirectory("dma takes no name that Deno cannot pass on", async (dir) => {
  for (const rest of ["write NAME", "copy NAME out", "copy /dev/null NAME", "doctor NAME"]) {
    const command = `dma ${rest.replace("NAME", `"$(printf 'odd\\377name')"`)}`;
    const { code, stderr } = await shell(dir, command);
    assertEquals(code, 2);
    assertMatch(stderr, /^dma: .* It must be UTF-8: name the file by a symbolic link; dma .*\n$/);
  }
  assertEquals(await namesIn(dir), []);
});

testInDirectory("dma write over a dangling link makes no claim about a directory", async (dir) => {
  await Deno.symlink(`${dir}/nowhere/file`, `${dir}/link`);
  const error = await errorOf("write", `${dir}/link`);
  assertMatch(error, /^dma: No such file or directory/);
  assertEquals(error.includes("mkdir"), false);
});

testInDirectory("dma write to a device or a FIFO says what writes to them", async (dir) => {
  const cat = /; use cat or dd to write to anything but a regular file\n$/;
  assertMatch(await errorOf("write", "/dev/null"), cat);
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  assertMatch(await errorOf("write", "--atomic", `${dir}/fifo`), cat);
  assertEquals((await Deno.lstat(`${dir}/fifo`)).isFifo, true);
});

testInDirectory(
  "dma write without a permission names the flags, and where they go",
  async (dir) => {
    const wanted = ["--allow-ffi", `--allow-read=${dir}/out`, `--allow-write=${dir}/out`];
    for (const missing of wanted) {
      const flags = wanted.filter((flag) => flag !== missing);
      const { code, stderr: error } = await dma(["write", `${dir}/out`], undefined, { flags });
      assertEquals(code, 1, error);
      assertStringIncludes(
        error,
        `; give these before the name of the program: ${wanted.join(" ")}\n`,
      );
    }
    const { code, stderr } = await dma(["write", `${dir}/out`], undefined, { flags: wanted });
    assertEquals(code, 0, stderr);
  },
);

testInDirectory("dma write --atomic without a permission names its directory", async (dir) => {
  const run = (flags: string[]) => dma(["write", "--atomic", `${dir}/out`], undefined, { flags });
  const wanted = ["--allow-ffi", `--allow-read=${dir}`, `--allow-write=${dir}`];
  assertStringIncludes((await run([])).stderr, `: ${wanted.join(" ")}\n`);
  const { code, stderr } = await run(wanted);
  assertEquals(code, 0, stderr);
});

testInDirectory(
  "dma write onto a full disk says how many bytes were kept",
  async (dir) => {
    // A namespace of its own: the mount goes with the process.
    const script = `mount -t tmpfs -o size=4m tmpfs "$1" || exit 77
      head -c 9000000 /dev/zero | "$2" run -A --no-check "$3" write "$1/out"; code=$?
      stat -c %s "$1/out"; exit $code`;
    const args = ["--mount", "sh", "-c", script, "sh", dir, Deno.execPath(), CLI];
    const { code, stdout, stderr } = await run("unshare", args);
    if (code === 77) return;
    const [error, kept] = stderr.split("\n");
    assertEquals(code, 1, error);
    assertMatch(
      error!,
      /^dma: No space left on device .*; make room, or write elsewhere: df -h \//,
    );
    const size = stdout.trim();
    assertEquals(kept, `dma: failed; kept the first ${size} bytes in ${dir}/out`);
  },
  { ignore: Deno.uid() !== 0 },
);

testOnce("dma suggests the command and the option that were meant", async () => {
  for (
    const [args, meant] of [
      [["wriet", "x"], "write"],
      [["help", "wriet"], "write"],
      [["wriet", "--help"], "write"],
      [["write", "--atomc", "x"], "--atomic"],
      [["copy", "--bufer-size", "1M", "a", "b"], "--buffer-size"],
    ] as const
  ) {
    const { code, stdout, stderr } = await dma([...args]);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, new RegExp(`^dma: unknown .*\\(Did you mean ${meant}\\?\\)\n$`));
  }
});

testOnce("dma says that Deno's flags go before the name of the program", async () => {
  for (const flag of ["--allow-write", "--allow-read=/tmp", "-A"]) {
    const { code, stderr } = await dma(["write", flag, "x"]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, `go before the name of the program, as in deno run ${flag} ...\n`);
  }
});

testInDirectory("dma points to the help of the command if no remedy is known", async (dir) => {
  const { stderr } = await dma(["write", "--buffer-size", "many", `${dir}/out`]);
  assertMatch(stderr, /1M, at most 1 GiB; dma write --help says more\n$/);
  assertEquals(await namesIn(dir), []);
});

Deno.test("remedyFor() knows the errors of a destination", () => {
  const at = { dest: "/tmp/it's", sourceOpen: true };
  const remedy = (errno: number) => remedyFor(ioError(errno, "open", at.dest), at);
  assertEquals(remedy(ENOSPC), "make room, or write elsewhere: df -h /tmp");
  assertStringIncludes(remedy(EACCES)!, String.raw`not Deno's: ls -ld /tmp '/tmp/it'\''s'`);
  assertStringIncludes(remedy(EPERM)!, "lsattr");
  assertStringIncludes(remedy(EROFS)!, "findmnt -T /tmp");
  assertStringIncludes(remedy(ETXTBSY)!, "--atomic");
  assertEquals(remedy(9999), undefined);
  assertEquals(remedyFor(new Error("anything"), at), undefined);
  assertEquals(remedyFor("no error at all", at), undefined);
  const ofSource = ioError(EACCES, "read", "/tmp/in");
  assertStringIncludes(remedyFor(ofSource, { ...at, source: "/tmp/in" })!, "ls -l /tmp/in");
});

Deno.test("quoted() keeps plain paths, and makes one word of all others", () => {
  assertEquals(["/a/b-c.txt", "a b", "it's", "$HOME", "", "it's\\\n"].map(quoted), [
    "/a/b-c.txt",
    "'a b'",
    String.raw`'it'\''s'`,
    "'$HOME'",
    "''",
    String.raw`$'it\'s\\\n'`,
  ]);
});
