// Runs the shim's self-test and tests of the module on an emulated machine for aarch64, with a kernel of its own and so
// with io_uring, which user-mode emulation lacks. Needs apt for Debian's packages, and as root installs the emulator.
//
//   deno task aarch64                       the self-test, and the tests named below
//   deno task aarch64 tests/foo_test.ts     other tests: those that need no program or package beside Deno

import { fileURLToPath } from "node:url";
import { fetchArmPackages } from "./architectures/arm_packages.ts";
import { makeGuest, MARK } from "./architectures/guest.ts";
import { allTargets, buildSelfTest, embeddedShim, parts } from "./architectures/targets.ts";
import { runAndShow, runMain, say } from "../setup/command.ts";
import { fetchEmulatedDeno } from "../setup/other_deno.ts";
import { installMissing, installPackages } from "../setup/packages.ts";

const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

const EMULATOR = "qemu-system-aarch64";
const MINUTES = 25;

/** Tests of every operation of the engine, and of each way of waking and registering. */
const defaultTests = [
  "tests/file/file_test.ts",
  "tests/file/random_access_test.ts",
  "tests/writer/sync_test.ts",
  "tests/reader/reader_test.ts",
];

/** Starts the machine, shows its output, and resolves to the output after it has switched itself off. */
function boot(kernel: string, directory: string, signal: AbortSignal): Promise<string> {
  const args = [
    ...["-machine", "virt", "-cpu", "max,pauth-impdef=on", "-smp", "2", "-m", "3G"],
    ...["-kernel", kernel, "-initrd", `${directory}/initrd`, "-net", "none"],
    // A first process that ends stops the kernel, and that the machine.
    ...["-append", "console=ttyAMA0 quiet panic=-1", "-no-reboot", "-nographic"],
    ...["-drive", `file=${directory}/disk,if=virtio,format=raw,cache=unsafe`],
  ];
  return runAndShow(EMULATOR, args, signal);
}

/** A copy by the whole module, which really went through the ring and past the page cache. */
const copied = new RegExp(
  `^${MARK} copy\n.*copied on aarch64 by io_uring, direct: true\n${MARK} copied$`,
  "m",
);

/** Counts parts of the self-test, the copy and tests of the module. Parts that are not in the output have failed. */
function count(output: string): { passed: number; failed: number; skipped: number } {
  const names = Object.keys(parts);
  const good = names.filter((part) =>
    new RegExp(`^${MARK} part ${part}\n[1-9]\\d* checks, 0 failed$`, "m").test(output)
  );
  const tally = { passed: good.length, failed: names.length - good.length, skipped: 0 };
  tally[copied.test(output) ? "passed" : "failed"]++;
  const summary = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(?:.*? \| (\d+) ignored)?/m;
  const [, passed, failed, ignored] = summary.exec(output) ?? [];
  tally.passed += Number(passed ?? 0);
  tally.failed += Number(failed ?? 1);
  tally.skipped += Number(ignored ?? 0);
  if (!output.includes(`${MARK} end 0`)) tally.failed ||= 1;
  return tally;
}

async function main(directory: string): Promise<boolean> {
  const signal = AbortSignal.timeout(MINUTES * 60_000);
  const target = allTargets().find(({ architecture }) => architecture === "aarch64")!;
  if (Deno.build.arch === "aarch64") {
    throw new Error("This machine is one for aarch64: deno task test does all of it");
  }
  await installPackages({ images: Deno.uid() === 0, architectures: Deno.uid() === 0, signal });
  await installMissing({ [EMULATOR]: "qemu-system-arm", cpio: "cpio" }, signal);
  const deno = await fetchEmulatedDeno(directory, signal);
  if (deno === undefined) throw new Error("There is no Deno for aarch64 to be had");
  say("Fetching Debian's kernel and libraries for aarch64");
  const packages = await fetchArmPackages(directory, signal);
  const shim = `${directory}/shim.so`;
  await Deno.writeFile(shim, await embeddedShim("aarch64"));
  const kernel = await makeGuest({
    root,
    packages,
    deno,
    shim,
    selfTest: await buildSelfTest(target, directory),
    parts: Object.keys(parts),
    tests: Deno.args.length > 0 ? Deno.args : defaultTests,
  }, directory);
  const { passed, failed, skipped } = count(await boot(kernel, directory, signal));
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed === 0;
}

if (import.meta.main) await runMain(main);
