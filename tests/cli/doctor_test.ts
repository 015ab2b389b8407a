// The diagnosis of `doctor`, and the parts of the command line that need no process.
import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { findMount } from "../../cli/system_facts.ts";
import { assertFile, namesIn, pattern } from "../support/bytes.ts";
import { run } from "../setup/command.ts";
import { dma, type Ran, testInDirectory } from "./process.ts";

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
  const { code, stdout, stderr } = await dma(["doctor", dir]);
  assertEquals([code, stderr], [0, ""]);
  for (
    const label of ["Kernel", "liburing", "io_uring", "Engine", "Locked memory", "Direct I/O"]
  ) {
    assertMatch(stdout, new RegExp(`^(ok|--)  ${label}\\s+\\S`, "m"));
  }
  assertStringIncludes(stdout, "wrote, synced and read back 1 MiB");
  assertMatch(
    stdout,
    /^Works(, slower)?: (Direct I\/O|page cache) over (io_uring|threads) on \w+\n/,
  );
  assertEquals(await namesIn(dir), []);
}, { bothEngines: true });

testInDirectory("dma doctor --json says the same to programs", async (dir) => {
  await Deno.writeFile(`${dir}/file`, pattern(5000));
  const { code, stdout } = await dma(["doctor", "--json", `${dir}/file`]);
  assertEquals(code, 0);
  const report = JSON.parse(stdout);
  assertEquals(report.works, true);
  assertMatch(report.verdict, /^Works/);
  for (const { level, what, remedy } of report.findings) {
    assert(["warning", "info"].includes(level), level);
    assertEquals(typeof what, "string");
    assert(remedy === null || typeof remedy === "string");
  }
  assertEquals(report.missingPermissions, []);
  assert(["io_uring", "threads"].includes(report.engine.engine));
  assertEquals(report.kernel, Deno.osRelease());
  assertEquals(report.probe.kind, "file");
  assertEquals(typeof report.probe.direct, "boolean");
  assertGreater(report.probe.alignment.offset, 0);
  assertEquals(report.probe.tried, "read 5000 bytes");
  await assertFile(`${dir}/file`, pattern(5000));
}, { bothEngines: true });

testInDirectory("dma doctor ends with 1 if nothing can be tried", async (dir) => {
  const { code, stdout } = await dma(["doctor", `${dir}/missing`]);
  assertEquals(code, 1);
  assertMatch(
    stdout,
    /^Does not work: .*No such file or directory.*\n\nIn the way: .*\n {2}Remedy: /,
  );
  assertMatch(stdout, /^!! {2}Path.*No such file or directory/m);
}, { bothEngines: true });

/** Runs the doctor on a directory with these permissions only. */
function doctorWith(flags: string[], dir: string): Promise<Ran> {
  return dma(["doctor", dir], undefined, { flags });
}

Deno.test("dma doctor names the permission that is missing", async () => {
  const { code, stdout } = await doctorWith(["--allow-read", "--allow-write"], ".");
  assertEquals(code, 1);
  assertMatch(stdout, /^!! {2}Permissions\s+missing: --allow-ffi$/m);
  assertMatch(stdout, /^-- {2}Way\s+unknown$/m);
});

testInDirectory(
  "dma doctor without permission for the path tells what it does not know",
  async (dir) => {
    const { code, stdout } = await doctorWith(["--allow-ffi"], dir);
    assertEquals(code, 1);
    assertMatch(stdout, /^!! {2}Permissions\s+missing: --allow-read --allow-write$/m);
    // The engine does not depend on the path.
    assertMatch(stdout, /^(ok|--) {2}Engine\s+(io_uring|threads): /m);
    assertMatch(stdout, /^-- {2}Untorn\s+unknown$/m);
  },
);

testInDirectory("The command that dma doctor suggests works as it is", async (dir) => {
  const [, command = ""] = /Remedy: deno (.*)$/m.exec((await doctorWith([], dir)).stdout) ?? [];
  // In the folder of a clone Deno takes the package's name for the clone.
  const options = { cwd: dir };
  const { success, output } = await run("sh", ["-c", `"$0" ${command}`, Deno.execPath()], options);
  assert(success, command);
  assertMatch(output, /^Works/);
});
