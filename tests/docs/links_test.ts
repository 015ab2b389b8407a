// What the pages and the package name is there: files and headings, tests, printed references, and few dependencies.
// Links of published pages lead to published pages, because JSR has no others.

import { assert, assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { exists, root, runOrThrow, urlOf } from "../setup/command.ts";
import { documented } from "../setup/passes.ts";
import { testOnce } from "../support/dirs.ts";
import { isPublished } from "../support/static_server.ts";

const pages = [...documented(), `${root}/examples/README.md`]
  .filter((path) => path.endsWith(".md"))
  .map((path) => path.slice(root.length + 1));

/** A page without its blocks of code. */
function prose(page: string): string {
  return Deno.readTextFileSync(`${root}/${page}`).replaceAll(/^```.*?^```$/gms, "");
}

/** The anchors that GitHub and JSR derive from a page's headings. */
function anchorsOf(page: string): string[] {
  return [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-")
  );
}

/** Whether the target of a link exists, and is available to a reader of the page. */
function leads(page: string, link: string): boolean {
  const { pathname, hash } = new URL(link, `file:///${page}`);
  const target = pathname.slice(1);
  if (!exists(`${root}/${target}`) || isPublished(page) && !isPublished(target)) return false;
  return hash === "" || !target.endsWith(".md") || anchorsOf(target).includes(hash.slice(1));
}

testOnce("Every link leads to a file, and to a heading of it", () => {
  for (const page of pages) {
    const links = [...prose(page).matchAll(/\]\(((?!https?:)[^)\s]+)\)/g)];
    assertEquals(links.map(([, link]) => link!).filter((link) => !leads(page, link)), [], page);
  }
});

function output(...args: string[]): Promise<string> {
  return runOrThrow(Deno.execPath(), args, { cwd: root });
}

/** All direct and indirect imports of a module from outside of this project. */
async function foreignImports(entry: string): Promise<string[]> {
  const { modules, redirects } = JSON.parse(await output("info", "--json", entry));
  const specifiers = modules.map(({ specifier }: { specifier: string }) => specifier);
  return specifiers.concat(Object.keys(redirects))
    .filter((specifier: string) => !specifier.startsWith(urlOf(""))).sort();
}

testOnce("Only the command line depends on packages, in one exact version", async () => {
  assertEquals(await foreignImports("mod.ts"), ["node:net", "node:process", "node:timers"]);
  const packages = (await foreignImports("cli.ts")).filter((each) => /^npm:[^/]/.test(each));
  // A new release must not change an installed program.
  assertEquals(packages, [config.imports.commander]);
  assert(/@\d+\.\d+\.\d+$/.test(config.imports.commander));
});

testOnce("The guide's commands print the reference, of all names and of one class", async () => {
  const commands = [...prose("docs/README.md").matchAll(/`deno (doc [^`]+)`/g)];
  const [all = [], one, node] = await Promise.all(commands.map(async ([, command]) => {
    const printed = await output(...command!.split(" "));
    return [...printed.matchAll(/^(?:class|function) (\w+)/gm)].map(([, name]) => name!).sort();
  }));
  assert(all.includes("DmaFile") && all.includes("engineInfo"), all.join());
  assertEquals([one, node], [["DmaStreamWriter"], ["toNodeReadable", "toNodeWritable"]]);
});
