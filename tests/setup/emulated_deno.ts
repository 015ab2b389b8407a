// Fetches a Deno for the architecture that this machine is not, to be run by user-mode emulation.

import { emulatorFor } from "../ffi/architectures/targets.ts";
import { hasProgram, lastLine, run, say } from "./command.ts";

/** Where npm has that Deno, any version that the module supports. */
const PACKAGE = "@deno/linux-arm64-glibc@^2.9.0";

/** The path of a Deno for aarch64 below `directory`, or undefined where there is none to be had or none is needed. */
export async function fetchEmulatedDeno(
  directory: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (Deno.build.arch === "aarch64") return undefined;
  const [emulator = ""] = emulatorFor("aarch64");
  const missing = [emulator, "npm", "tar"].filter((program) => !hasProgram(program));
  if (missing.length > 0) {
    say(`No Deno for aarch64 is fetched, as it needs ${missing.join(", ")}`);
    return undefined;
  }
  const folder = `${directory}/emulated`;
  await Deno.mkdir(folder);
  say(`npm pack ${PACKAGE}`);
  const limited = {
    cwd: folder,
    signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]),
  };
  const packed = await run("npm", ["pack", "--loglevel=error", PACKAGE], limited);
  const archive = [...Deno.readDirSync(folder)].find(({ name }) => name.endsWith(".tgz"))?.name;
  if (!packed.success || archive === undefined) {
    say(`That failed: ${lastLine(packed.output)}`);
    return undefined;
  }
  const { success } = await run("tar", ["-xzf", archive, "package/deno"], limited);
  await Deno.remove(`${folder}/${archive}`);
  return success ? `${folder}/package/deno` : undefined;
}
