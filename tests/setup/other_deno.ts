// Fetches a Deno that is not the one at work: for another architecture, and the oldest that is promised.

import { OLDEST_DENO } from "../../src/runtime.ts";
import { emulatorFor } from "../ffi/architectures/targets.ts";
import { hasProgram, lastLine, run, say } from "./command.ts";

/** A Deno for aarch64, to be run by user-mode emulation: its path below `directory`, or undefined without one. */
export async function fetchEmulatedDeno(
  directory: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (Deno.build.arch === "aarch64") return undefined;
  const [emulator = ""] = emulatorFor("aarch64");
  if (!hasProgram(emulator)) {
    say(`No Deno for aarch64 is fetched, as it needs ${emulator}`);
    return undefined;
  }
  return await fetchDeno("@deno/linux-arm64-glibc@^2.9.0", `${directory}/emulated`, signal);
}

/** The oldest Deno that the module accepts: its path below `directory`, or undefined without one. */
export async function fetchOldestDeno(
  directory: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const processor = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const name = `@deno/linux-${processor}-glibc@${OLDEST_DENO}`;
  return await fetchDeno(name, `${directory}/oldest`, signal);
}

/** Unpacks the program of one of Deno's npm packages into `folder`, and resolves to its path. */
async function fetchDeno(
  name: string,
  folder: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const missing = ["npm", "tar"].filter((program) => !hasProgram(program));
  if (missing.length > 0) {
    say(`${name} is not fetched, as that needs ${missing.join(", ")}`);
    return undefined;
  }
  await Deno.mkdir(folder);
  say(`npm pack ${name}`);
  const limited = {
    cwd: folder,
    signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]),
  };
  const packed = await run("npm", ["pack", "--loglevel=error", name], limited);
  const archive = [...Deno.readDirSync(folder)].find(({ name }) => name.endsWith(".tgz"))?.name;
  if (!packed.success || archive === undefined) {
    say(`That failed: ${lastLine(packed.output)}`);
    return undefined;
  }
  const { success } = await run("tar", ["-xzf", archive, "package/deno"], limited);
  await Deno.remove(`${folder}/${archive}`);
  return success ? `${folder}/package/deno` : undefined;
}
