// Runs a program against this module in a process of its own, with exactly the permissions and limits of a test.

/** How a child ended, and what it printed. */
export interface ChildResult {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly output: string;
}

/** What a child may, and under what it runs. */
export interface ChildOptions {
  /** Deno's flags, as `--allow-ffi`. None are given that are not here. */
  flags?: readonly string[];
  /** Shell commands that come before Deno, as `ulimit -f 100`. */
  shell?: string;
  env?: Record<string, string>;
  cwd?: string;
}

const module = new URL("../../mod.ts", import.meta.url).href;

/**
 * Runs `code`, whose names `dma` and `report` stand for this module and for a function that prints how a promise
 * ended: `ok <value>` or `<class>: <message>`.
 */
export async function runChild(code: string, options: ChildOptions = {}): Promise<ChildResult> {
  const { flags = ["-A"], shell, env = {}, cwd } = options;
  const program = `import * as dma from ${JSON.stringify(module)};
    const report = (work) => Promise.resolve().then(work).then(
      (value) => console.log("ok", value),
      (error) => console.log(error.name + ": " + error.message),
    );
    ${code}`;
  const path = await Deno.makeTempFile({ prefix: "dma-child-", suffix: ".js" });
  try {
    await Deno.writeTextFile(path, program);
    const args = ["run", "--no-config", "--no-lock", "--no-prompt", "--quiet", ...flags, path];
    const command = shell === undefined
      ? new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1", ...env }, ...at(cwd) })
      : new Deno.Command("/bin/sh", {
        args: ["-c", `${shell}; exec "$@"`, "sh", Deno.execPath(), ...args],
        env: { NO_COLOR: "1", ...env },
        ...at(cwd),
      });
    const { code: exitCode, signal, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    return {
      code: exitCode,
      signal,
      output: (decoder.decode(stdout) + decoder.decode(stderr)).trimEnd(),
    };
  } finally {
    await Deno.remove(path);
  }
}

function at(cwd: string | undefined): { cwd?: string } {
  return cwd === undefined ? {} : { cwd };
}
