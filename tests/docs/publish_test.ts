// The dependencies of the published package, and the guide's commands that print the reference.

import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { runOrThrow } from "../setup/command.ts";
import { testOnce } from "../support/once.ts";
import { root } from "../support/published.ts";

/** The output of a command of Deno. */
function output(...args: string[]): Promise<string> {
  const options = { cwd: new URL(root), env: { NO_COLOR: "1" } };
  return runOrThrow(Deno.execPath(), args, options);
}

/** All direct and indirect imports of a module from outside of this project. */
async function foreignImports(entry: string): Promise<string[]> {
  const { modules, redirects }: {
    modules: { specifier: string }[];
    redirects: Record<string, string>;
  } = JSON.parse(await output("info", "--json", entry));
  const specifiers = [...modules.map(({ specifier }) => specifier), ...Object.keys(redirects)];
  return specifiers.filter((specifier) => !specifier.startsWith(root)).sort();
}

testOnce("Only the command line depends on packages, in one exact version", async () => {
  assertEquals(await foreignImports("mod.ts"), ["node:net", "node:process", "node:timers"]);
  const packages = (await foreignImports("cli.ts")).filter((each) => /^npm:[^/]/.test(each));
  // A new release must not change an installed program.
  assertEquals(packages, [config.imports.commander]);
  assert(/@\d+\.\d+\.\d+$/.test(config.imports.commander));
});

testOnce("The guide's commands print the reference, of all names and of one class", async () => {
  const guide = await Deno.readTextFile(new URL("docs/README.md", root));
  const commands = [...guide.matchAll(/`deno (doc [^`]+)`/g)].map(([, command]) => command!);
  const printed = await Promise.all(commands.map((command) => output(...command.split(" "))));
  const [all = [], one, node] = printed.map((text) =>
    [...text.matchAll(/^(?:class|function) (\w+)/gm)].map(([, name]) => name!).sort()
  );
  assert(all.includes("DmaFile") && all.includes("engineInfo"), all.join());
  assertEquals([one, node], [["DmaStreamWriter"], ["toNodeReadable", "toNodeWritable"]]);
});
