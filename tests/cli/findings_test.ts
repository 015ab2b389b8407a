// The doctor's findings on machines that are not available.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { DirectProbe } from "../../cli/direct_probe.ts";
import { copiesForChecksums, type Facts, findings, verdict } from "../../cli/findings.ts";
import { isNoCow } from "../../cli/descriptor.ts";
import { isKernel, type Mount } from "../../cli/system_facts.ts";
import type { EngineInfo } from "../../mod.ts";

const MIB = 1024 ** 2;

const mount: Mount = {
  type: "ext4",
  mountPoint: "/mnt",
  device: "/dev/sda1",
  options: ["rw"],
  superOptions: ["rw"],
};
const probe: DirectProbe = {
  path: "/mnt",
  kind: "directory",
  mount,
  direct: true,
  reason: null,
  alignment: { memory: 512, offset: 512 },
  atomicWrite: { min: 0, max: 0 },
  noCow: null,
  tried: "wrote, synced and read back 1 MiB",
  broken: [],
  error: null,
};
const engine: EngineInfo = {
  engine: "io_uring",
  reason: "io_uring and liburing are available",
  kernel: "6.18.0",
  liburing: "2.9",
  ringEntries: 256,
  maxInFlight: 512,
  registeredBuffers: true,
  features: [],
  missing: [],
};
const healthy: Facts = {
  works: true,
  deno: "2.9.6",
  platform: "linux x86_64",
  platformError: null,
  kernel: "6.18.0",
  liburing: { loads: true, version: "2.9", install: "apt install liburing2" },
  ioUring: { allowed: true, disabled: 0, seccomp: false },
  engine,
  engineError: null,
  lockedMemory: -1,
  mayLock: false,
  missingPermissions: [],
  probe,
};
const threads: Partial<Facts> = {
  engine: { ...engine, engine: "threads", registeredBuffers: false, liburing: null },
  ioUring: { allowed: false, disabled: 0, seccomp: false },
};

const FAST = "Works: Direct I/O over io_uring on ext4";
const SLOWER = "Works, slower: Direct I/O over threads on ext4 | warning";

const error = "Requires ffi access";
const noEngine: Partial<Facts> = {
  works: false,
  engineError: error,
  engine: { ...engine, engine: null },
  probe: { ...probe, error, direct: null },
};
const noLiburing = { loads: false, version: null, install: "apt install liburing2" };
const btrfs = { ...mount, type: "btrfs" };

/** A machine with such a directory. */
function found(change: Partial<DirectProbe>): Partial<Facts> {
  return { works: !change.error && !change.broken, probe: { ...probe, ...change } };
}

function forbidden(disabled: number, seccomp: boolean, allowed: false | null = false) {
  return { ...threads, ioUring: { allowed, disabled, seccomp } };
}

/** The differences from a healthy machine, and parts of "verdict | level | what | remedy". */
const machines: Record<string, [change: Partial<Facts>, ...parts: string[]]> = {
  "a permission is missing": [
    { ...noEngine, engine, missingPermissions: ["--allow-ffi", "--allow-write"] },
    "Does not work: Deno was started without --allow-ffi --allow-write | error | " +
    "Deno was started without --allow-ffi --allow-write | " +
    "deno run --allow-ffi --allow-read=/mnt --allow-write=/mnt ",
    " doctor /mnt$",
  ],
  "liburing is missing": [
    { ...forbidden(0, false, null), liburing: noLiburing },
    `${SLOWER} | liburing cannot be loaded`,
    " | apt install liburing2$",
  ],
  "no engine and no liburing": [
    { ...noEngine, liburing: noLiburing },
    `Does not work: No engine is available: ${error} | error | No engine is available: ${error} | ` +
    "apt install liburing2, or unset DMA_ENGINE and DMA_LIBURING$",
  ],
  "no engine": [noEngine, " | unset DMA_ENGINE, DMA_SHIM ", "; otherwise Deno ", " may be too old"],
  "io_uring is disabled": [forbidden(2, false), SLOWER, "sysctl kernel.io_uring_disabled=0"],
  "io_uring is disabled for a user": [forbidden(1, false), "kernel.io_uring_group"],
  "io_uring is refused by seccomp": [forbidden(0, true), SLOWER, "--security-opt seccomp="],
  "io_uring is too old": [forbidden(0, false), "kernel 5.11"],
  "the ring does not fit in locked memory": [
    { ...threads, engine: { ...threads.engine!, reason: "io_uring_setup failed (os error 12)" } },
    "ulimit -l unlimited",
  ],
  "threads are asked for": [forbidden(0, false, null), "DMA_ENGINE"],
  "tmpfs": [
    found({ direct: false, mount: { ...mount, type: "tmpfs" } }),
    "Works, slower: page cache over io_uring on tmpfs",
    "tmpfs is memory",
  ],
  "a file system without Direct I/O": [
    found({ direct: false, mount: { ...mount, type: "9p" } }),
    " | No Direct I/O on 9p",
  ],
  "btrfs with checksums": [
    found({ mount: btrfs }),
    "Works, slower: Direct I/O for reading only over io_uring on btrfs",
    "chattr +C /mnt",
  ],
  "a read-only mount, for a directory": [
    found({
      mount: { ...mount, options: ["ro"] },
      error: "Read-only file system (os error 30): open '/mnt/x'",
      direct: null,
    }),
    "Does not work: /mnt is mounted read-only | error | ",
    " | as root: mount -o remount,rw /mnt$",
  ],
  "a read-only mount, for a file": [
    found({ mount: { ...mount, options: ["ro"] }, kind: "file" }),
    " | info | ",
  ],
  "next to no locked memory": [{ lockedMemory: 64 * 1024 }, " | warning | "],
  "little locked memory": [{ lockedMemory: 8 * MIB }, `${FAST} | info | `, "buffers of one writer"],
  "no registered buffers": [{ engine: { ...engine, registeredBuffers: false } }, "kernel 5.19"],
  "an operation is missing": [
    { engine: { ...engine, missing: ["FTRUNCATE"] } },
    `${FAST} | info | `,
    "lacks FTRUNCATE",
  ],
  "an old kernel": [{ kernel: "5.15.0" }, "6.1 or newer"],
  "rclone without a cache": [
    found({
      mount: { ...mount, type: "fuse.rclone" },
      error: "Operation not permitted (os error 1): truncate '/mnt/file'",
    }),
    "--vfs-cache-mode writes",
  ],
  "a broken promise": [
    found({ broken: [{ what: "An atomic file is gone", remedy: "write without atomic" }] }),
    "Does not work: An atomic file is gone (ext4) | error | An atomic file is gone (ext4) | " +
    "write without atomic$",
  ],
};

for (const [name, [change, ...parts]] of Object.entries(machines)) {
  Deno.test(`The doctor's finding: ${name}`, () => {
    const facts = { ...healthy, ...change };
    const [first, ...others] = findings(facts);
    const { level, what, remedy } = first!;
    const told = `${verdict(facts, [first!])} | ${level} | ${what} | ${remedy}$`;
    for (const part of parts) assertStringIncludes(told, part);
    if (name !== "rclone without a cache") assertEquals(others, []);
  });
}

Deno.test("A machine that lacks nothing has no findings", () => {
  assertEquals(verdict(healthy, []), FAST);
  const ample = { lockedMemory: 1024 * MIB };
  for (const change of [{}, ample, { lockedMemory: 8 * MIB, mayLock: true }]) {
    assertEquals(findings({ ...healthy, ...change }), []);
  }
});

Deno.test("btrfs with checksums goes through the page cache since kernel 6.14", () => {
  const withoutSums = { ...btrfs, superOptions: ["rw", "nodatasum"] };
  assert(copiesForChecksums(btrfs, "6.14.0-rc1", null));
  assert(!copiesForChecksums(btrfs, "6.9.3", null));
  assert(!copiesForChecksums(btrfs, "7.0.1", true));
  assert(!copiesForChecksums(withoutSums, "7.0.1", null));
  assert(!copiesForChecksums(mount, "7.0.1", null));
  assert(!copiesForChecksums(null, null, null));
});

Deno.test("isNoCow() gives null for a file without such flags, and for a missing one", () => {
  assertEquals(["/proc/version", "/missing/file"].map(isNoCow), [null, null]);
});

Deno.test("The worst finding comes first, and makes the verdict", () => {
  const error = "No such file or directory (os error 2): stat '/mnt'";
  const facts: Facts = {
    ...healthy,
    ...threads,
    works: false,
    lockedMemory: 0,
    probe: { ...probe, kind: null, direct: null, error },
  };
  const found = findings(facts);
  assertEquals(found.map(({ level }) => level), ["error", "warning"]);
  assertEquals(verdict(facts, found), `Does not work: /mnt: ${error}`);
  assertMatch(found[0]!.remedy!, /mkdir -p \/mnt/);
  // /proc exists, but no file can be created in it.
  const [there] = findings({ ...facts, probe: { ...facts.probe, kind: "directory" } });
  assertEquals(there!.remedy, null);
});

Deno.test("isKernel() compares numbers, not texts", () => {
  assertEquals(
    [["6.1.0", "6.1"], ["6.10", "6.9"], ["5.15.0-91-generic", "6.1"], ["7.0", "6.14"], ["?", "6.1"]]
      .map(([release, least]) => isKernel(release!, least!)),
    [true, true, false, true, false],
  );
});
