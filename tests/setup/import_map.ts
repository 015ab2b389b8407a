// If JSR cannot be reached, maps the imports of @std to small stand-ins, so that tests can run.

import { pathToFileURL } from "node:url";
import { root, run, say } from "./command.ts";

/** Each import of @std that tests and documentation use, and the module that stands in for it. */
const standIns: Record<string, string> = {
  "@std/assert": "tests/support/std_assert.ts",
  "@std/streams": "tests/support/std_streams.ts",
};

/** The time limit for JSR's packages and their dependencies, in milliseconds. */
const patience = 30_000;

/** Arguments for any subcommand of Deno that resolves imports: none if JSR can be reached, else {@linkcode standInArguments}. */
export async function importMapArguments(signal?: AbortSignal): Promise<string[]> {
  const code = Object.keys(standIns).map((name) => `import "${name}";`).join(" ");
  const timeout = AbortSignal.timeout(patience);
  // Deno itself tries it, with the project's configuration, so that mirrors and caches count.
  const { success } = await run(Deno.execPath(), ["eval", code], {
    cwd: root,
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  if (success) return [];
  say("JSR is out of reach: @std is replaced by tests/support/std_*.ts");
  return standInArguments();
}

/** Arguments that replace @std by the stand-ins, for the project or a copy of it. */
export function standInArguments(copy: string = root): string[] {
  const map = JSON.stringify({ imports: offlineImports(copy) });
  return [`--import-map=data:application/json,${encodeURIComponent(map)}`];
}

/**
 * Imports without JSR, for a copy of the project. If the program that uses them sees that folder at another path, `seenAt`
 * is that path. An import map replaces the imports of deno.json, so this includes the others too.
 */
export function offlineImports(copy: string, seenAt = copy): Record<string, string> {
  const config = JSON.parse(Deno.readTextFileSync(`${copy}/deno.json`));
  const imports: Record<string, string> = {};
  const urlOf = (path: string) => pathToFileURL(`${seenAt}/${path}`).href;
  for (const [name, target] of Object.entries<string>(config.imports ?? {})) {
    if (target.startsWith("./")) imports[name] = urlOf(target.slice(2));
    else imports[name] = target;
    // Deno adds the subpaths of packages only for imports in deno.json.
    const npm = /^npm:\/?(.+)$/.exec(target);
    if (npm && !name.endsWith("/")) imports[`${name}/`] = `npm:/${npm[1]}/`;
  }
  for (const [name, path] of Object.entries(standIns)) imports[name] = urlOf(path);
  return imports;
}
