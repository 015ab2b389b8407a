// Runs a program with this module in another process, with exactly the permissions and limits that a test gives it.

import { type Ended, run, urlOf } from "../setup/command.ts";

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

/** Runs `code`, which has this module as `dma`, and a `report(work)` that prints `ok <value>` or `<class>: <message>`. */
export async function runChild(code: string, options: ChildOptions = {}): Promise<Ended> {
  const { flags = ["-A"], shell = ":", values = {}, ...more } = options;
  const constants = Object.entries(values)
    .map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
  const program = `import * as dma from ${JSON.stringify(urlOf("mod.ts"))};
    const report = (work) => Promise.resolve().then(work).then(
      (value) => console.log("ok", value),
      (error) => console.log(error.name + ": " + error.message),
    );
    ${constants.join("\n")}
    ${code}`;
  const path = await Deno.makeTempFile({ prefix: "dma-child-", suffix: ".js" });
  await using _ = { [Symbol.asyncDispose]: () => Deno.remove(path) };
  await Deno.writeTextFile(path, program);
  const deno = [Deno.execPath(), "run", "--no-config", "--no-lock", "--no-prompt", "--quiet"];
  const args = ["-c", `${shell}; exec "$@"`, "sh", ...deno, ...flags, path];
  const ran = await run("/bin/sh", args, more);
  return { ...ran, output: ran.output.trimEnd() };
}
