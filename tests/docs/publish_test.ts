// What goes to the registry: these files and no others, documented with examples and defaults, and nothing to complain about.
// That each symbol is documented, `deno task check` sees.

import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { dryRun, root } from "../support/published.ts";
import { testOnce } from "../support/once.ts";
import { run } from "../setup/command.ts";

/** Which files of a kind are there, relative to the root. */
async function filesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) files.push(...await filesBelow(`${folder}${name}/`));
    else files.push(`${folder}${name}`);
  }
  return files;
}

/** What a command of Deno prints. */
async function output(...args: string[]): Promise<string> {
  const options = { cwd: new URL(root), env: { NO_COLOR: "1" } };
  const { success, stdout, stderr } = await run(Deno.execPath(), args, options);
  assert(success, stderr);
  return stdout;
}

async function deno<T>(...args: string[]): Promise<T> {
  return JSON.parse(await output(...args));
}

testOnce("A dry run of publishing has nothing to complain about", async () => {
  const { success, complaints } = await dryRun();
  assertEquals(complaints, []);
  assert(success);
});

testOnce("The published files are the module, its command line and the documentation", async () => {
  const { files } = await dryRun();
  const expected = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "cli.ts",
    "deno.json",
    "ffi/address.ts",
    "ffi/libc.ts",
    "ffi/liburing.ts",
    "ffi/platform.ts",
    // Not needed at run time: whoever wants to know what the embedded machine code does can read it.
    "ffi/shim.c",
    "ffi/shim.ts",
    "ffi/shim_aarch64.ts",
    "ffi/shim_x86_64.ts",
    "ffi/thread_exit.ts",
    "mod.ts",
    "node.ts",
    ...await filesBelow("cli/"),
    ...await filesBelow("docs/"),
    ...await filesBelow("src/"),
  ];
  assertEquals(files, expected.sort());
});

interface ModuleGraph {
  modules: { specifier: string }[];
}

testOnce(
  "Every published module is imported from an entry point, and the other way round",
  async () => {
    const { files } = await dryRun();
    const reached = new Set<string>();
    for (const entry of Object.values(config.exports)) {
      const { modules } = await deno<ModuleGraph>("info", "--json", entry);
      for (const { specifier } of modules) {
        if (specifier.startsWith(root)) reached.add(specifier.slice(root.length));
      }
    }
    assertEquals(files.filter((path) => /\.(ts|json)$/.test(path)), [...reached].sort());
  },
);

testOnce("Only the command line depends on packages", async () => {
  const { modules } = await deno<ModuleGraph>("info", "--json", "mod.ts");
  const others = modules.filter(({ specifier }) => !specifier.startsWith(root));
  assertEquals(others.map(({ specifier }) => specifier).sort(), [
    "node:net",
    "node:process",
    "node:timers",
  ]);
});

testOnce(
  "What the command line takes from npm has one exact version, that of deno.json",
  async () => {
    const found = new Set<string>();
    for (const path of await filesBelow("cli/")) {
      const source = await Deno.readTextFile(new URL(path, root));
      for (const [, specifier] of source.matchAll(/"(npm:[^"]+)"/g)) found.add(specifier!);
    }
    // A new release must not change an installed program.
    const pinned = Object.values(config.imports);
    for (const specifier of found) {
      assertMatch(specifier, /^npm:(@[\w-]+\/)?[\w-]+@\d+\.\d+\.\d+$/);
      assert(pinned.includes(specifier), `${specifier} is not in deno.json`);
    }
    assertEquals(found.size, 1);
  },
);

interface JsDoc {
  tags?: { kind: string }[];
}

interface Member {
  name: string;
  jsDoc?: JsDoc;
}

interface Declaration {
  kind: string;
  jsDoc?: JsDoc;
  def?: { methods?: Member[]; properties?: Member[] };
}

/** What `deno doc --json` says, as far as it is asked here. */
interface Documentation {
  nodes: Record<string, { symbols: { name: string; declarations: Declaration[] }[] }>;
}

function hasTag({ tags = [] }: JsDoc = {}, ...kinds: string[]): boolean {
  return tags.some(({ kind }) => kinds.includes(kind));
}

testOnce(
  "Every public function and method has an example, and every option its default",
  async () => {
    const { nodes } = await deno<Documentation>("doc", "--json", "mod.ts");
    const lacking: string[] = [];
    let options = 0;
    for (const { symbols } of Object.values(nodes)) {
      for (const { name, declarations } of symbols) {
        for (const { kind, jsDoc, def } of declarations) {
          if (kind === "function" && !hasTag(jsDoc, "example")) lacking.push(name);
          if (kind === "class") {
            const members = def?.methods?.filter(({ jsDoc }) =>
              !hasTag(jsDoc, "example", "ignore")
            );
            lacking.push(...(members ?? []).map((member) => `${name}.${member.name}`));
          }
          if (kind !== "interface" || !name.endsWith("Options")) continue;
          for (const property of def?.properties ?? []) {
            options++;
            // A signal is there or not: nothing stands in its place.
            if (hasTag(property.jsDoc, "default") || property.name === "signal") continue;
            lacking.push(`${name}.${property.name}`);
          }
        }
      }
    }
    assertEquals(lacking, []);
    assert(options > 30, `${options} options`);
  },
);

testOnce("The guide's commands print the reference, of all names and of one class", async () => {
  const guide = await Deno.readTextFile(new URL("docs/README.md", root));
  const commands = [...guide.matchAll(/`deno (doc [^`]+)`/g)].map(([, command]) => command!);
  const printed = await Promise.all(commands.map((command) => output(...command.split(" "))));
  const names = printed.map((text) =>
    [...text.matchAll(/^(?:class|function) (\w+)/gm)].map(([, name]) => name!)
  );
  const [all = [], one, node] = names;
  assert(all.includes("DmaFile") && all.includes("engineInfo"), all.join());
  assertEquals(one, ["DmaStreamWriter"]);
  assertEquals(node?.toSorted(), ["toNodeReadable", "toNodeWritable"]);
});
