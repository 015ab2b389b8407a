// `deno task test`: prepares the machine, runs the suite on all possible file systems, and cleans up. See CONTRIBUTING.md.

import { OLDEST_DENO } from "../src/runtime.ts";
import { mountFileSystems, runMain } from "./setup/file_systems.ts";
import { importMapArguments } from "./setup/import_map.ts";
import { fetchDeno, fetchEmulatedDeno } from "./setup/other_deno.ts";
import { installPackages } from "./setup/packages.ts";
import { allPasses, type Pass } from "./setup/passes.ts";
import { runPasses, type Tally } from "./setup/schedule.ts";

function parseArguments(args: readonly string[]) {
  const rest = args.filter((arg) => arg !== "--images");
  const isAll = rest.length === 0;
  const namesFile = rest.some((arg) => /^[^-].*\.ts$/.test(arg));
  const chosen: Pass = { name: "chosen tests", args: namesFile ? rest : [...rest, "tests/"] };
  return {
    images: isAll || args.includes("--images"),
    /** Whether to install compilers and emulators for other processors. */
    architectures: isAll || rest.some((arg) => /architectures_test\.ts$/.test(arg)),
    pass: isAll ? undefined : chosen,
  };
}

async function runAll(tally: Tally, workDirectory: string, signal: AbortSignal): Promise<void> {
  const { images, architectures, pass } = parseArguments(Deno.args);
  await Deno.mkdir(`${workDirectory}/temp`);
  await Deno.chmod(`${workDirectory}/temp`, 0o1777);
  tally.skipped += await installPackages({ images, architectures }, signal);
  const importArguments = await importMapArguments(signal);
  const none = { mounted: [], skipped: 0 };
  const { mounted, skipped } = images ? await mountFileSystems(workDirectory, signal) : none;
  tally.skipped += skipped;
  const emulated = architectures ? await fetchEmulatedDeno(workDirectory, signal) : undefined;
  const env = {
    ...(emulated === undefined ? {} : { DMA_TEST_EMULATED_DENO: emulated }),
    DMA_TEST_DIRS: [Deno.env.get("DMA_TEST_DIRS") || `${workDirectory}/temp`, ...mounted].join(","),
    // Files that a test did not remove are removed with the rest.
    TMPDIR: `${workDirectory}/temp`,
  };
  const folder = `${workDirectory}/oldest`;
  const oldest = pass ? undefined : await fetchDeno(Deno.build.arch, OLDEST_DENO, folder, signal);
  if (!pass && oldest === undefined) tally.skipped++;
  const passes = pass ? [pass] : await allPasses(workDirectory, oldest);
  await runPasses(passes, { env, importArguments, signal }, tally);
}

if (import.meta.main) {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 };
  const exitCode = await runMain(async (directory, signal) => {
    try {
      await runAll(tally, directory, signal);
    } catch (error) {
      // An incomplete run must not look like a success.
      tally.failed ||= 1;
      throw error;
    }
    return tally.failed === 0 && tally.passed > 0;
  });
  const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : "";
  console.log(`${tally.passed} passed, ${tally.failed} failed${skipped}`);
  Deno.exit(exitCode);
}
