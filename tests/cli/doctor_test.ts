// The diagnosis of `doctor`, and the parts of the command line that need no process.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { findMount } from "../../cli/system_facts.ts";
import { run } from "../setup/command.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { dma, succeeds, testInDirectory } from "./process.ts";

Deno.test("findMount() takes the longest mount point, the last of two, and unescapes it", () => {
  const mountinfo = [
    "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "22 21 8:2 / /mnt/a rw - xfs /dev/sda2 rw",
    "23 21 8:3 / /mnt/a ro,nosuid - btrfs /dev/sda3 rw",
    String.raw`24 21 8:4 / /mnt/a\040b rw master:2 - tmpfs tmpfs rw`,
    "",
  ].join("\n");
  assertEquals(findMount(mountinfo, "/mnt/a/file")?.type, "btrfs");
  assertEquals(findMount(mountinfo, "/mnt/a")?.options, ["ro", "nosuid"]);
  assertEquals(findMount(mountinfo, "/mnt/ab")?.type, "ext4");
  assertEquals(findMount(mountinfo, "/mnt/a b/c")?.mountPoint, "/mnt/a b");
});

testInDirectory("dma doctor tries a directory and leaves nothing in it", async (dir) => {
  const { stdout, stderr } = await succeeds(["doctor", dir]);
  assertEquals(stderr, "");
  const labels = ["Kernel", "liburing", "io_uring", "Engine", "Locked memory", "Direct I/O"];
  for (const label of labels) assertMatch(stdout, new RegExp(`^(ok|--)  ${label}\\s+\\S`, "m"));
  assertStringIncludes(stdout, "wrote, synced and read back 1 MiB");
  const works = /^Works(, slower)?: (Direct I\/O|page cache) over (io_uring|threads) on \w+\n/;
  assertMatch(stdout, works);
  assertEquals(await namesIn(dir), []);
}, { bothEngines: true });

testInDirectory("dma doctor --json prints the same facts for programs", async (dir) => {
  await Deno.writeFile(`${dir}/file`, pattern(5000));
  const { stdout } = await succeeds(["doctor", "--json", `${dir}/file`]);
  const { works, verdict, findings, missingPermissions, engine, kernel, probe } = JSON.parse(
    stdout,
  );
  const { kind, direct, tried, alignment } = probe;
  assertEquals({ works, missingPermissions, kernel, kind, tried, direct: typeof direct }, {
    works: true,
    missingPermissions: [],
    kernel: Deno.osRelease(),
    kind: "file",
    tried: "read 5000 bytes",
    direct: "boolean",
  });
  assertMatch(verdict, /^Works/);
  for (const { level, what, remedy } of findings) {
    assert(["warning", "info"].includes(level), level);
    assertEquals(typeof what, "string");
    assert(remedy === null || typeof remedy === "string");
  }
  assert(["io_uring", "threads"].includes(engine.engine));
  assert(alignment.offset > 0);
  await assertFile(`${dir}/file`, pattern(5000));
}, { bothEngines: true });

/** Runs the doctor with these permissions only, with which it must fail. */
async function fails(path: string, flags: string[]): Promise<string> {
  const { code, stdout } = await dma(["doctor", path], undefined, { flags });
  assertEquals(code, 1);
  return stdout;
}

testInDirectory("dma doctor ends with 1 if nothing can be tried", async (dir) => {
  const stdout = await fails(`${dir}/missing`, ["-A"]);
  const missing = "No such file or directory.*";
  assertMatch(stdout, new RegExp(`^Does not work: .*${missing}\n\nProblem: .*\n {2}Remedy: `));
  assertMatch(stdout, new RegExp(`^!! {2}Path.*${missing}`, "m"));
}, { bothEngines: true });

testInDirectory("dma doctor names missing permissions, and what it does not know", async (dir) => {
  const withoutFfi = await fails(dir, ["--allow-read", "--allow-write"]);
  assertMatch(withoutFfi, /^!! {2}Permissions\s+missing: --allow-ffi$/m);
  assertMatch(withoutFfi, /^-- {2}File engine\s+unknown$/m);
  const withoutPath = await fails(dir, ["--allow-ffi"]);
  assertMatch(withoutPath, /^!! {2}Permissions\s+missing: --allow-read --allow-write$/m);
  // The engine does not depend on the path.
  assertMatch(withoutPath, /^(ok|--) {2}Engine\s+(io_uring|threads): /m);
  assertMatch(withoutPath, /^-- {2}Untorn\s+unknown$/m);
});

testInDirectory("The command that dma doctor suggests works as it is", async (dir) => {
  const [, command = ""] = /Remedy: deno (.*)$/m.exec(await fails(dir, [])) ?? [];
  // In the folder of a clone Deno takes the package's name for the clone.
  const options = { cwd: dir };
  const { success, output } = await run("sh", ["-c", `"$0" ${command}`, Deno.execPath()], options);
  assert(success, command);
  assertMatch(output, /^Works/);
});
