// Fetches other versions of Deno: one for another architecture, or an older one.

import { emulatorFor } from "../ffi/architectures/targets.ts";
import { hasProgram, lastLine, run, say } from "./command.ts";

/** Fetches a Deno for aarch64, for user-mode emulation. Resolves to its path below `directory`, or undefined. */
export async function fetchEmulatedDeno(directory: string, signal: AbortSignal) {
  if (Deno.build.arch === "aarch64") return undefined;
  const [emulator = ""] = emulatorFor("aarch64");
  if (!hasProgram(emulator)) {
    say(`No Deno for aarch64 is fetched, as it needs ${emulator}`);
    return undefined;
  }
  return await fetchDeno("aarch64", "^2.9.0", `${directory}/emulated`, signal);
}

/** Unpacks the program of one of Deno's npm packages into `folder`. Resolves to its path, or undefined. */
export async function fetchDeno(
  architecture: string,
  version: string,
  folder: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const processor = architecture === "aarch64" ? "arm64" : "x64";
  const name = `@deno/linux-${processor}-glibc@${version}`;
  const missing = ["npm", "tar"].filter((program) => !hasProgram(program));
  if (missing.length > 0) {
    say(`${name} is not fetched, as that needs ${missing.join(", ")}`);
    return undefined;
  }
  await Deno.mkdir(folder);
  say(`npm pack ${name}`);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(60_000)]);
  const limited = { cwd: folder, signal: limit };
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
