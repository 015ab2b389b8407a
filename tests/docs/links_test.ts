// Links of the pages: each leads to a file and a heading that are there; those of published pages to published ones, as on
// JSR nothing else exists.

import { exists } from "../setup/command.ts";
import { assert, assertEquals } from "@std/assert";
import { documented } from "../setup/passes.ts";
import { engineIsOfNoConcern } from "../support/once.ts";
import { isPublished } from "../support/published.ts";

const root = new URL("../../", import.meta.url).pathname;
const pages = documented(root.replace(/\/$/, ""))
  .filter((path) => path.endsWith(".md"))
  .map((path) => path.slice(root.length));
pages.push("examples/README.md");

interface Link {
  readonly page: string;
  readonly link: string;
  /** Relative to the root. */
  readonly target: string;
  readonly heading: string;
}

/** The links of a page that lead to files, those of images among them. */
function linksOf(page: string): Link[] {
  const text = Deno.readTextFileSync(root + page).replaceAll(/^```.*?^```$/gms, "");
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
  return links.filter((link) => !/^https?:/.test(link)).map((link) => {
    const { pathname, hash } = new URL(link, `file:///${page}`);
    return { page, link, target: pathname.slice(1), heading: hash.slice(1) };
  });
}

/** The anchors that GitHub and JSR make of a page's headings. */
function anchorsOf(page: string): string[] {
  const text = Deno.readTextFileSync(root + page).replaceAll(/^```.*?^```$/gms, "");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-")
  );
}

if (engineIsOfNoConcern) {
  Deno.test("Every link leads to a file, and to a heading of it", () => {
    const links = pages.flatMap(linksOf);
    assert(links.length > 50);
    const dead = links.filter(({ target, heading }) =>
      !exists(root + target) ||
      (heading !== "" && target.endsWith(".md") && !anchorsOf(target).includes(heading))
    );
    assertEquals(dead.map(({ page, link }) => `${page}: ${link}`), []);
  });

  Deno.test("Every test that SECURITY.md names is there", () => {
    const security = Deno.readTextFileSync(`${root}SECURITY.md`);
    const named = [...security.matchAll(/`([\w/]+_test\.ts)`/g)].map(([, path]) => path!);
    assert(named.length > 20);
    assertEquals(named.filter((path) => !exists(`${root}tests/${path}`)), []);
  });

  Deno.test("A published page links to what is published", () => {
    const links = pages.filter(isPublished).flatMap(linksOf);
    const dead = links.filter(({ target }) => !isPublished(target));
    assertEquals(dead.map(({ page, link }) => `${page}: ${link}`), []);
  });
}
