// An error is one line, which ends with a remedy if one is known.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { quoted, remedyFor } from "../../cli/remedies.ts";
import { ioError } from "../../src/errors.ts";
import { runOrThrow } from "../setup/command.ts";
import { namesIn, pattern } from "../support/bytes.ts";
import { fails, shell, succeeds, testInDirectory } from "./process.ts";

testInDirectory("dma names what to do about a path", async (dir) => {
  await Deno.writeTextFile(`${dir}/in`, "");
  await Deno.symlink(`${dir}/nowhere/file`, `${dir}/link`);
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  const cat = "; use cat or dd to write to anything but a regular file\n";
  const pack = `; pack it first: tar c ${dir}`;
  const remedies: [args: string[], says: string | RegExp][] = [
    [["write", `${dir}/a b/out`], `; make its directory first: mkdir -p '${dir}/a b'\n`],
    [["copy", `${dir}/in`, `${dir}/no/`], `; make the directory first: mkdir -p ${dir}/no/\n`],
    [["write", `${dir}/`], `; name a file in it, such as ${dir}/NAME\n`],
    [["copy", dir, `${dir}/out`], `${pack} | dma write ${dir}/out\n`],
    [["read", dir], `${pack}\n`],
    [["write", "/dev/null"], cat],
    [["write", "--atomic", `${dir}/fifo`], cat],
    // It makes no claim about the directory of a dangling link.
    [["write", `${dir}/link`], /^dma: No such file or directory(?!.*mkdir)/],
  ];
  for (const [args, says] of remedies) await fails(1, args, says, pattern(10));
  assertEquals(await namesIn(dir), ["fifo", "in", "link"]);
  assertEquals((await Deno.lstat(`${dir}/fifo`)).isFifo, true);
});

testInDirectory("dma write to a FIFO does not disturb its reader", async (dir) => {
  await runOrThrow("mkfifo", [`${dir}/fifo`]);
  const script = `(read -r line < fifo; echo "got $line") & dma write fifo < /dev/null; code=$?
    timeout 10 sh -c 'echo a line > fifo'; wait; exit $code`;
  const { code, stdout } = await shell(dir, script);
  assertEquals([code, stdout], [1, "got a line\n"]);
}, { bothEngines: true });

testInDirectory("The error of dma write for a directory suggests tar", async (dir) => {
  await Deno.writeTextFile(`${dir}/out`, "old");
  const { code, stderr } = await shell(dir, 'dma write "$dir/out" < "$dir"');
  const error = "dma: Is a directory (os error 21): read '/dev/stdin'";
  assertEquals([code, stderr], [
    1,
    `${error}; pack it first: tar c FOLDER | dma write ${dir}/out\n`,
  ]);
  assertEquals(await Deno.readTextFile(`${dir}/out`), "old");
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

testInDirectory("dma write without a permission names the flags and their place", async (dir) => {
  // An atomic file needs those for its directory.
  for (const [more, path] of [[[], `${dir}/out`], [["--atomic"], dir]] as const) {
    const args = ["write", ...more, `${dir}/out`];
    const wanted = ["--allow-ffi", `--allow-read=${path}`, `--allow-write=${path}`];
    for (const missing of wanted) {
      const flags = wanted.filter((flag) => flag !== missing);
      const says = `; give ${wanted.join(" ")} before the name of the program\n`;
      await fails(1, args, says, undefined, { flags });
    }
    await succeeds(args, undefined, { flags: wanted });
  }
  const flags = ["--allow-ffi", "--allow-read", "--allow-write"];
  const all = "; give --allow-all before the name of the program\n";
  await fails(1, ["read", "/proc/version"], all, undefined, { flags });
});

testInDirectory("dma write onto a full disk prints the number of kept bytes", async (dir) => {
  // A separate namespace, so that the mount ends with the process.
  const script = `mount -t tmpfs -o size=4m tmpfs "$dir" || exit 77
    head -c 9000000 /dev/zero | dma write "$dir/out"; code=$?; stat -c %s "$dir/out"; exit $code`;
  const { code, stdout, stderr } = await shell(dir, `unshare --mount bash -c '${script}'`);
  if (code === 77) return;
  const [error, kept] = stderr.split("\n");
  assertEquals(code, 1, error);
  assertMatch(error!, /^dma: No space left on device .*; make room, or write elsewhere: df -h \//);
  assertEquals(kept, `dma: failed; kept the first ${stdout.trim()} bytes in ${dir}/out`);
}, { ignore: Deno.uid() !== 0 });

testInDirectory("dma reports a limit on the size of files", async (dir) => {
  await Deno.writeFile(`${dir}/in`, pattern(9_000_000));
  const limited = (command: string) => shell(dir, `ulimit -f 4000; dma ${command}`);
  const error = "dma: File too large (os error 27)";
  const remedy = "; if a limit is the reason, ulimit -f unlimited lifts it";
  const { code, stderr } = await limited("copy --buffer-size 64K in out");
  const { size } = await Deno.stat(`${dir}/out`);
  const kept = `dma: failed; kept the first ${size} bytes in out`;
  // A write across the limit is shortened first, and the error names the position.
  const told = stderr.replace(": the write stops at 4096000", "");
  assertEquals([code, told], [1, `${error}: write 'out'${remedy}\n${kept}\n`]);
  assertEquals(await Deno.readFile(`${dir}/out`), pattern(9_000_000).subarray(0, size));
  const read = await limited("read in > read");
  assertEquals([read.code, read.stderr], [1, `${error}\n`]);
}, { bothEngines: true });

Deno.test("remedyFor() knows the errors of a destination", () => {
  const at = { dest: "/tmp/it's", sourceOpen: true };
  const [EPERM, EACCES, ETXTBSY, ENOSPC, EROFS] = [1, 13, 26, 28, 30] as const;
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
