// Links of the pages: each leads to an existing file and heading. Links of published pages lead to published pages,
// because JSR has no others.

import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { exists } from "../setup/command.ts";
import { documented } from "../setup/passes.ts";
import { testOnce } from "../support/once.ts";
import { isPublished } from "../support/published.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pages = [...documented(root.slice(0, -1)), `${root}examples/README.md`]
  .filter((path) => path.endsWith(".md"))
  .map((path) => path.slice(root.length));

/** A page without its blocks of code. */
function prose(page: string): string {
  return Deno.readTextFileSync(root + page).replaceAll(/^```.*?^```$/gms, "");
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
  if (!exists(root + target) || isPublished(page) && !isPublished(target)) return false;
  return hash === "" || !target.endsWith(".md") || anchorsOf(target).includes(hash.slice(1));
}

testOnce("Every link leads to a file, and to a heading of it", () => {
  const links = pages.flatMap((page) =>
    [...prose(page).matchAll(/\]\(((?!https?:)[^)\s]+)\)/g)].map(([, link]) =>
      [page, link!] as const
    )
  );
  assert(links.length > 50);
  assertEquals(links.filter(([page, link]) => !leads(page, link)), []);
});

testOnce("Every test that SECURITY.md names is there", () => {
  const security = Deno.readTextFileSync(`${root}SECURITY.md`);
  const named = [...security.matchAll(/`([\w/]+_test\.ts)`/g)].map(([, path]) => path!);
  assert(named.length > 20);
  assertEquals(named.filter((path) => !exists(`${root}tests/${path}`)), []);
});
