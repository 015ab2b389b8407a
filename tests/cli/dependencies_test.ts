// What the command line takes from npm is pinned: a new release of a dependency must not change an installed program.
import { assert, assertEquals, assertMatch } from "@std/assert";
import config from "../../deno.json" with { type: "json" };

const CLI_FOLDER = new URL("../../cli/", import.meta.url);
const pinned: string[] = Object.values(config.imports);

Deno.test("Every npm dependency of the command line has one exact version, that of deno.json", async () => {
  const found = new Set<string>();
  for await (const { name } of Deno.readDir(CLI_FOLDER)) {
    const source = await Deno.readTextFile(new URL(name, CLI_FOLDER));
    for (const [, specifier] of source.matchAll(/"(npm:[^"]+)"/g)) found.add(specifier!);
  }
  for (const specifier of found) {
    assertMatch(specifier, /^npm:(@[\w-]+\/)?[\w-]+@\d+\.\d+\.\d+$/);
    assert(pinned.includes(specifier), `${specifier} is not in deno.json`);
  }
  assertEquals(found.size, 1);
});
