// What the doctor concludes, from machines that are not at hand.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { DirectProbe } from "../../cli/direct_probe.ts";
import { copiesForChecksums, type Facts, findings, verdict } from "../../cli/findings.ts";
import { isNoCow } from "../../cli/file_flags.ts";
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
  reason: "io_uring is allowed and liburing is there",
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

/** Level, text and remedy of the only finding, after the verdict. */
function only(
  change: Partial<Facts>,
): [verdict: string, level: string, what: string, remedy: string] {
  const facts = { ...healthy, ...change };
  const found = findings(facts);
  assertEquals(found.length, 1, JSON.stringify(found));
  const { level, what, remedy } = found[0]!;
  return [verdict(facts, found), level, what, remedy ?? ""];
}

Deno.test("A machine that lacks nothing has no findings", () => {
  assertEquals(findings(healthy), []);
  assertEquals(verdict(healthy, []), "Works: Direct I/O over io_uring on ext4");
});

Deno.test("Missing permissions are reported with the whole command", () => {
  const missing = ["--allow-ffi", "--allow-write"];
  const error = "Requires ffi access";
  const [verdict, level, what, remedy] = only({
    works: false,
    missingPermissions: missing,
    engineError: error,
    probe: { ...probe, error, direct: null },
  });
  assertEquals(verdict, "Does not work: Deno was started without --allow-ffi --allow-write");
  assertEquals([level, what], ["error", "Deno was started without --allow-ffi --allow-write"]);
  assertMatch(
    remedy,
    /^deno run --allow-ffi --allow-read=\/mnt --allow-write=\/mnt .* doctor \/mnt$/,
  );
});

Deno.test("Without liburing its installation is named", () => {
  const [verdict, level, what, remedy] = only({
    ...threads,
    liburing: { loads: false, version: null, install: "apt install liburing2" },
    ioUring: { allowed: null, disabled: 0, seccomp: false },
  });
  assertEquals([verdict, level], ["Works, slower: Direct I/O over threads on ext4", "warning"]);
  assertMatch(what, /^liburing is not installed/);
  assertEquals(remedy, "apt install liburing2");
});

Deno.test("Without an engine one finding says so, and what mends it", () => {
  const error = "Cannot load liburing.so.2";
  const none = {
    works: false,
    engineError: error,
    engine: { ...engine, engine: null },
    probe: { ...probe, error, direct: null },
  };
  const [verdict, level, what, remedy] = only({
    ...none,
    liburing: { loads: false, version: null, install: "apt install liburing2" },
  });
  assertEquals(verdict, `Does not work: No engine is available: ${error}`);
  assertEquals([level, what], ["error", `No engine is available: ${error}`]);
  assertEquals(remedy, "apt install liburing2, or unset DMA_ENGINE and DMA_LIBURING");
  assertMatch(only(none)[3], /^unset DMA_ENGINE, DMA_SHIM .*; else Deno .* may be too old/);
});

Deno.test("If io_uring is forbidden, the remedy fits the cause", () => {
  const forbidden = (disabled: number, seccomp: boolean) =>
    only({ ...threads, ioUring: { allowed: false, disabled, seccomp } });
  assertMatch(forbidden(2, false)[3], /sysctl kernel\.io_uring_disabled=0/);
  assertMatch(forbidden(1, false)[3], /kernel\.io_uring_group/);
  assertMatch(forbidden(0, true)[3], /--security-opt seccomp=/);
  assertMatch(forbidden(0, false)[3], /kernel 5\.11/);
  assertMatch(
    only({ ...threads, ioUring: { allowed: null, disabled: 0, seccomp: false } })[3],
    /DMA_ENGINE/,
  );
  for (const [verdict, level] of [forbidden(2, false), forbidden(0, true)]) {
    assertEquals([verdict, level], ["Works, slower: Direct I/O over threads on ext4", "warning"]);
  }
});

Deno.test("tmpfs and other file systems without Direct I/O are told apart", () => {
  const on = (type: string) =>
    only({ probe: { ...probe, direct: false, mount: { ...mount, type } } });
  assertEquals(on("tmpfs")[0], "Works, slower: page cache over io_uring on tmpfs");
  assertMatch(on("tmpfs")[2], /memory/);
  assertMatch(on("9p")[2], /^No Direct I\/O on 9p/);
});

Deno.test("btrfs with checksums goes through the page cache since kernel 6.14", () => {
  const btrfs = { ...mount, type: "btrfs" };
  assertEquals(copiesForChecksums(btrfs, "6.14.0-rc1", null), true);
  assertEquals(copiesForChecksums(btrfs, "6.9.3", null), false);
  assertEquals(
    copiesForChecksums({ ...btrfs, superOptions: ["rw", "nodatasum"] }, "7.0.1", null),
    false,
  );
  assertEquals(copiesForChecksums(mount, "7.0.1", null), false);
  assertEquals(copiesForChecksums(null, null, null), false);
  assertEquals(copiesForChecksums(btrfs, "7.0.1", true), false);
  const [verdict, , , remedy] = only({ probe: { ...probe, mount: btrfs } });
  assertEquals(verdict, "Works, slower: Direct I/O for reading only over io_uring on btrfs");
  assertStringIncludes(remedy, "chattr +C /mnt");
});

Deno.test("isNoCow() knows nothing of what has no such flags, or is not there", () => {
  assertEquals(["/proc/version", "/missing/file"].map(isNoCow), [null, null]);
});

Deno.test("A mount that is read-only is an error for a directory, and none for a file", () => {
  const ro = { ...mount, options: ["ro"] };
  const error = "Read-only file system (os error 30): open '/mnt/x'";
  const [verdict, level, , remedy] = only({
    works: false,
    probe: { ...probe, mount: ro, error, direct: null },
  });
  assertEquals([verdict, level], ["Does not work: /mnt is mounted read-only", "error"]);
  assertEquals(remedy, "as root: mount -o remount,rw /mnt");
  assertEquals(only({ probe: { ...probe, mount: ro, kind: "file" } })[1], "info");
});

Deno.test("A low limit of locked memory is reported if it applies", () => {
  assertEquals(only({ lockedMemory: 64 * 1024 })[1], "warning");
  const [verdict, level, what] = only({ lockedMemory: 8 * MIB });
  assertEquals([verdict, level], ["Works: Direct I/O over io_uring on ext4", "info"]);
  assertMatch(what, /buffers of one writer/);
  assertEquals(findings({ ...healthy, lockedMemory: 8 * MIB, mayLock: true }), []);
  assertEquals(findings({ ...healthy, lockedMemory: 1024 * MIB }), []);
  assertMatch(only({ engine: { ...engine, registeredBuffers: false } })[3], /kernel 5\.19/);
});

Deno.test("Operations that an old kernel lacks are named, and do not count as slower", () => {
  const [verdict, level, what] = only({ engine: { ...engine, missing: ["FTRUNCATE"] } });
  assertEquals([verdict, level], ["Works: Direct I/O over io_uring on ext4", "info"]);
  assertMatch(what, /lacks FTRUNCATE/);
  assertMatch(only({ kernel: "5.15.0" })[3], /6\.1 or newer/);
});

Deno.test("What a server gets wrong by default is told with the option that mends it", () => {
  const rclone = { ...mount, type: "fuse.rclone" };
  const error = "Operation not permitted (os error 1): truncate '/mnt/file'";
  const found = findings({ ...healthy, works: false, probe: { ...probe, mount: rclone, error } });
  assertMatch(found[0]!.remedy!, /--vfs-cache-mode writes/);
});

Deno.test("A promise that a file system breaks is an error, with what to do", () => {
  const broken = [{ what: "An atomic file is gone", remedy: "write without atomic" }];
  const facts = { ...healthy, works: false, probe: { ...probe, broken } };
  const found = findings(facts);
  assertEquals(found, [
    { level: "error", what: "An atomic file is gone (ext4)", remedy: "write without atomic" },
  ]);
  assertEquals(verdict(facts, found), "Does not work: An atomic file is gone (ext4)");
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
  // In /proc files cannot be made, though it is there.
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
