// Runs a program with this module in another process, with exactly the permissions and limits that a test gives it.

export interface ChildResult {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly output: string;
}

export interface ChildOptions {
  /** All of Deno's permission flags, such as `--allow-ffi`. */
  flags?: readonly string[];
  /** Shell commands that run before Deno, such as `ulimit -f 100`. */
  shell?: string;
  env?: Record<string, string>;
  cwd?: string;
  /** Constants of the program, by name. */
  values?: Record<string, unknown>;
}

const module = new URL("../../mod.ts", import.meta.url).href;

/**
 * Runs `code`. In it `dma` is this module, and `report` is a function that prints the result of its work: `ok <value>` or
 * `<class>: <message>`.
 */
export async function runChild(code: string, options: ChildOptions = {}): Promise<ChildResult> {
  const { flags = ["-A"], shell = ":", env = {}, cwd, values = {} } = options;
  const constants = Object.entries(values)
    .map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
  const program = `import * as dma from ${JSON.stringify(module)};
    const report = (work) => Promise.resolve().then(work).then(
      (value) => console.log("ok", value),
      (error) => console.log(error.name + ": " + error.message),
    );
    ${constants.join("\n")}
    ${code}`;
  const path = await Deno.makeTempFile({ prefix: "dma-child-", suffix: ".js" });
  try {
    await Deno.writeTextFile(path, program);
    const run = ["run", "--no-config", "--no-lock", "--no-prompt", "--quiet", ...flags, path];
    const command = new Deno.Command("/bin/sh", {
      args: ["-c", `${shell}; exec "$@"`, "sh", Deno.execPath(), ...run],
      env: { NO_COLOR: "1", ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    const { code: exitCode, signal, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    const output = (decoder.decode(stdout) + decoder.decode(stderr)).trimEnd();
    return { code: exitCode, signal, output };
  } finally {
    await Deno.remove(path);
  }
}
