// Runs programs for the setup of the tests, and checks whether they are installed.

/** The result of a program, and its text on both outputs. */
export interface CommandResult {
  readonly success: boolean;
  readonly output: string;
}

/**
 * The PATH of many accounts, such as root's under `su`, lacks the folders of administration programs.
 */
export const searchPath = `${Deno.env.get("PATH") ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;

/** Resolves after so many milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Prints a line that is marked as one of the setup, because other programs print too. */
export function say(line: string): void {
  console.log(`# ${line}`);
}

/** Runs a program to its end without a terminal. A missing program counts as failed. */
export async function run(
  program: string,
  args: readonly string[],
  options: { env?: Record<string, string>; cwd?: string; signal?: AbortSignal } = {},
): Promise<CommandResult> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      ...options,
      args: [...args],
      env: { PATH: searchPath, LC_ALL: "C", ...options.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } catch (error) {
    return { success: false, output: String(error) };
  }
}

/** Runs a program and resolves to its output. If the program fails, throws an error with its last line. */
export async function runOrThrow(
  program: string,
  args: readonly string[],
  options?: { signal?: AbortSignal },
): Promise<string> {
  const { success, output } = await run(program, args, options);
  if (!success) throw new Error(`${program} failed: ${lastLine(output)}`);
  return output.trim();
}

/** Runs a program to its end, shows its output, and resolves to it. Used for the console of an emulated machine. */
export async function runAndShow(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const child = new Deno.Command(program, {
    args: [...args],
    env: { PATH: searchPath },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    signal,
  }).spawn();
  const decoder = new TextDecoder();
  let output = "";
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    output += decoder.decode(chunk, { stream: true });
  }
  await child.status;
  return output.replaceAll("\r", "");
}

/** Whether there is something at a path, of whatever kind. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a program of this name can be run. */
export function hasProgram(name: string): boolean {
  const directories = name.startsWith("/") ? [""] : searchPath.split(":");
  return directories.some((directory) => {
    try {
      return Deno.statSync(`${directory}/${name}`).isFile;
    } catch {
      return false;
    }
  });
}

/** The last line of an output, in which most programs give the reason of a failure. */
export function lastLine(output: string): string {
  return output.trim().split("\n").at(-1) ?? "";
}

/** How many bytes of a file are in the page cache; undefined without fincore(1). */
export async function cachedBytes(path: string): Promise<number | undefined> {
  const { success, output } = await run("fincore", ["-nbro", "RES", path]);
  return success ? Number(output) : undefined;
}
