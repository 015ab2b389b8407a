// The diagnosis of `doctor`: on this machine, and its findings on machines that are not available.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { DirectProbe } from "../../cli/direct_probe.ts";
import { reportLines } from "../../cli/doctor_text.ts";
import { type Facts, findings, verdict } from "../../cli/findings.ts";
import { findMount, isServed } from "../../cli/system_facts.ts";
import { runOrThrow } from "../setup/command.ts";
import { MIB, namesIn, pattern } from "../support/bytes.ts";
import { testInEachDirectory, testOnce } from "../support/dirs.ts";
import { dma, succeeds, testDma } from "./process.ts";

const WORKS =
  /^Works(, slower)?: (Direct I\/O|page cache)( for reading only)? over (io_uring|threads) on /;

testDma("dma doctor tries a directory and leaves nothing in it", async (dir) => {
  const { stdout, stderr } = await succeeds(["doctor", dir]);
  assertEquals(stderr, "");
  assertMatch(stdout, WORKS);
  const labels = ["Kernel", "liburing", "io_uring", "Engine", "Locked memory", "Direct I/O"];
  for (const label of labels) assertMatch(stdout, new RegExp(`^(ok|--)  ${label}\\s+\\S`, "m"));
  assertStringIncludes(stdout, "wrote, synced and read back 1 MiB");
  assertEquals(await namesIn(dir), []);
}, { bothEngines: true });

testDma("dma doctor --json prints the same facts for programs", async (dir) => {
  await Deno.writeFile(`${dir}/file`, pattern(5000));
  const { stdout } = await succeeds(["doctor", "--json", `${dir}/file`]);
  const { verdict, works, missingPermissions, kernel, engine, probe } = JSON.parse(stdout);
  assertMatch(verdict, WORKS);
  assertEquals([works, missingPermissions, kernel], [true, [], Deno.osRelease()]);
  assertEquals([probe.kind, probe.tried], ["file", "read 5000 bytes"]);
  assertStringIncludes(verdict, engine.engine);
  assertStringIncludes(verdict, probe.direct ? "Direct I/O" : "page cache");
  assert(probe.alignment.offset > 0);
}, { bothEngines: true });

testDma("dma doctor ends with 1 and names what is missing or unknown", async (dir) => {
  const told = async (path: string, ...flags: string[]) => {
    const { code, stdout } = await dma(["doctor", path], undefined, { flags });
    assertEquals(code, 1);
    return stdout;
  };
  const missing = "No such file or directory.*";
  const nowhere = await told(`${dir}/missing`, "-A");
  assertMatch(nowhere, new RegExp(`^Does not work: .*${missing}\n\nProblem: .*\n {2}Remedy: `));
  assertMatch(nowhere, new RegExp(`^!! {2}Path.*${missing}`, "m"));
  const withoutFfi = await told(dir, "--allow-read", "--allow-write");
  assertMatch(withoutFfi, /^!! {2}Permissions\s+missing: --allow-ffi$/m);
  assertMatch(withoutFfi, /^-- {2}File engine\s+unknown$/m);
  const withoutPath = await told(dir, "--allow-ffi");
  assertMatch(withoutPath, /^!! {2}Permissions\s+missing: --allow-read --allow-write$/m);
  // The engine does not depend on the path.
  assertMatch(withoutPath, /^(ok|--) {2}Engine\s+(io_uring|threads): /m);
  assertMatch(withoutPath, /^-- {2}Untorn\s+unknown$/m);
  // For Deno a comma separates two paths.
  for (const path of [dir, `${dir}/with, comma`]) {
    await Deno.mkdir(path, { recursive: true });
    const [, command = ""] = /Remedy: deno (.*)$/m.exec(await told(path)) ?? [];
    // In the folder of a clone Deno takes the package's name for the clone.
    const args = ["-c", `"$0" ${command}`, Deno.execPath()];
    assertMatch(await runOrThrow("sh", args, { cwd: dir }), WORKS);
  }
});

testInEachDirectory("dma doctor does not open a FIFO, or write to the kernel", async (dir) => {
  await runOrThrow("mkfifo", [dir.file("fifo")]);
  const { stdout: fifo } = await dma(["doctor", dir.file("fifo")]);
  assertMatch(fifo, /^Does not work: .*fifo: It is neither a directory nor a regular file\n/);
  const { stdout } = await dma(["doctor", "/proc"]);
  assertMatch(stdout, /^Does not work: \/proc: proc shows the state .*\n\n.*\n {2}Remedy: name /);
}, { bothEngines: false });

testOnce("findMount() takes the longest mount point, the last of two, and unescapes it", () => {
  const mountinfo = String.raw`21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
    22 21 8:2 / /mnt/a rw - xfs /dev/sda2 rw
    23 21 8:3 / /mnt/a ro,nosuid - btrfs /dev/sda3 rw
    24 21 8:4 / /mnt/a\040b rw master:2 - tmpfs tmpfs rw
    `.replaceAll(/^ +/gm, "");
  assertEquals(findMount(mountinfo, "/mnt/a/file")?.type, "btrfs");
  assertEquals(findMount(mountinfo, "/mnt/a")?.options, ["ro", "nosuid"]);
  assertEquals(findMount(mountinfo, "/mnt/ab")?.type, "ext4");
  assertEquals(findMount(mountinfo, "/mnt/a b/c")?.mountPoint, "/mnt/a b");
});

testOnce("isServed() knows the file systems that show defects only later", () => {
  const types = ["fuse.juicefs", "fuseblk", "nfs4", "ceph", "ext4", "xfs", "overlay", "tmpfs"];
  assertEquals(types.filter((type) => isServed({ ...ext4, type })), types.slice(0, 4));
});

const rw = { options: ["rw"], superOptions: ["rw"] };
const ext4 = { type: "ext4", mountPoint: "/mnt", device: "/dev/sda1", ...rw };
const btrfs = { ...ext4, type: "btrfs" };

/** The facts of a machine that lacks nothing. */
const healthy: Facts = {
  works: true,
  deno: "2.9.6",
  platform: "linux x86_64",
  platformError: null,
  kernel: "6.18.0",
  liburing: { loads: true, version: "2.9", install: "apt install liburing2" },
  ioUring: { allowed: true, disabled: 0, seccomp: false },
  engine: {
    engine: "io_uring",
    reason: "io_uring and liburing are available",
    kernel: "6.18.0",
    liburing: "2.9",
    ringEntries: 256,
    maxInFlight: 512,
    registeredBuffers: true,
    features: [],
    missing: [],
  },
  engineError: null,
  lockedMemory: -1,
  mayLock: false,
  missingPermissions: [],
  probe: {
    path: "/mnt",
    kind: "directory",
    mount: ext4,
    engine: "io_uring",
    direct: true,
    reason: null,
    alignment: { memory: 512, offset: 512 },
    atomicWrite: { min: 0, max: 0 },
    noCow: null,
    tried: "wrote, synced and read back 1 MiB",
    broken: [],
    error: null,
  },
};

/** A machine with such a directory. */
function found(change: Partial<DirectProbe>, kernel = "6.18.0"): Partial<Facts> {
  const works = !change.error && !change.broken;
  return { works, kernel, probe: { ...healthy.probe, ...change } };
}

/** A machine whose engine differs. */
function engine(change: Partial<Facts["engine"]>): Partial<Facts> {
  return { engine: { ...healthy.engine, ...change } };
}

/** A machine that uses threads. */
function threads(ring: Partial<Facts["ioUring"]>, reason = "io_uring is refused"): Partial<Facts> {
  return {
    ...found({ engine: "threads" }),
    ...engine({ engine: "threads", registeredBuffers: false, liburing: null, reason }),
    ioUring: { allowed: false, disabled: 0, seccomp: false, ...ring },
  };
}

const error = "Requires ffi access";
const noEngine: Partial<Facts> = {
  ...found({ error, direct: null }),
  ...engine({ engine: null }),
  engineError: error,
};
const noLiburing = { loads: false, version: null, install: "apt install liburing2" };
const FAST = "Works: Direct I/O over io_uring on ext4";
const SLOWER = "Works, slower: Direct I/O over threads on ext4 | warning";
const NOTHING = `${FAST} | `;
const READS_ONLY = "Works, slower: Direct I/O for reading only over io_uring on btrfs | warning | ";
const READ_ONLY = { ...ext4, options: ["ro"] };

/** The differences from a healthy machine, and parts of "verdict | level | what | remedy | level ...". */
const machines: [change: Partial<Facts>, ...parts: string[]][] = [
  [{}, NOTHING],
  [{ lockedMemory: 1024 * MIB }, NOTHING],
  [{ lockedMemory: 8 * MIB, mayLock: true }, NOTHING],
  [
    { ...threads({ allowed: null }), liburing: noLiburing },
    `${SLOWER} | liburing cannot`,
    " | apt install ",
  ],
  [
    { ...noEngine, liburing: noLiburing },
    `Does not work: No engine is available: ${error} | error | No engine is available: ${error} | ` +
    "apt install liburing2, or unset DMA_ENGINE | ",
  ],
  [noEngine, " | unset DMA_ENGINE, DMA_SHIM ", "; otherwise Deno 2.9.6 may be too old"],
  [threads({ disabled: 2 }), SLOWER, "sysctl kernel.io_uring_disabled=0"],
  [threads({ disabled: 1 }), "kernel.io_uring_group"],
  [threads({ seccomp: true }), SLOWER, "--security-opt seccomp="],
  [threads({}), "kernel 5.11"],
  [threads({}, "io_uring_setup failed (os error 12)"), "ulimit -l unlimited"],
  [threads({ allowed: null }), "unset DMA_ENGINE"],
  [
    found({ direct: false, mount: { ...ext4, type: "tmpfs" } }),
    "Works, slower: page cache over io_uring on tmpfs | warning | tmpfs is memory",
  ],
  [found({ direct: false, mount: { ...ext4, type: "9p" } }), " | No Direct I/O on 9p"],
  [found({ mount: btrfs }), READS_ONLY, "chattr +C /mnt"],
  [found({ mount: btrfs }, "6.9.3"), "Works: Direct I/O over io_uring on btrfs | "],
  [found({ mount: btrfs, noCow: true }), "Works: "],
  [found({ mount: { ...btrfs, superOptions: ["rw", "nodatasum"] } }), "Works: "],
  [
    found({ mount: READ_ONLY, error: "Read-only file system (os error 30): open" }),
    "Does not work: /mnt is mounted read-only | error | ",
    " | as root: mount -o remount,rw /mnt | ",
  ],
  [found({ mount: READ_ONLY, kind: "file" }), `${FAST} | info | `],
  // The directory exists, but no file can be created in it.
  [found({ direct: null, error: "No such file (os error 2): open '/mnt/x'" }), "/x' | null | "],
  [{ lockedMemory: 64 * 1024 }, " | warning | "],
  [{ lockedMemory: 8 * MIB }, `${FAST} | info | `, "buffers of one writer"],
  [engine({ registeredBuffers: false }), "kernel 5.19"],
  [engine({ missing: ["FTRUNCATE"] }), `${FAST} | info | `, "lacks FTRUNCATE"],
  [{ kernel: "5.15.0-91-generic" }, "6.1 or newer"],
  [
    found({ mount: { ...ext4, type: "fuse.rclone" }, error: "(os error 1): truncate '/mnt/file'" }),
    "--vfs-cache-mode writes",
  ],
  [
    found({ broken: [{ what: "It is gone", remedy: "wait" }] }),
    "Does not work: It is gone (ext4) | error | It is gone (ext4) | wait | ",
  ],
];

testOnce("The doctor's verdict comes from the worst finding, and each has its remedy", () => {
  for (const [change, ...parts] of machines) {
    const facts = { ...healthy, ...change };
    const all = findings(facts);
    const told = all.flatMap(({ level, what, remedy }) => [level, what, String(remedy)]);
    told.unshift(verdict(facts, all));
    for (const part of parts) assertStringIncludes(`${told.join(" | ")} | `, part);
    if (parts[0]!.startsWith("Works: ")) assertEquals(told.length > 1, parts[0]!.includes("info"));
  }
});

testOnce("The doctor's line about locked memory agrees with its finding", () => {
  const limits = [[32 * 1024, /^--.* not registered/], [8 * MIB, /^ok/]] as const;
  for (const [lockedMemory, line] of limits) {
    const facts = { ...healthy, lockedMemory };
    const lines = reportLines({ ...facts, verdict: "Works: it", findings: findings(facts) });
    assertMatch(lines.find((each) => each.slice(4).startsWith("Locked memory"))!, line);
  }
});
