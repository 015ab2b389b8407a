// The files that `deno publish` publishes, by the list in deno.json.

import { root } from "../setup/root.ts";

const { publish } = JSON.parse(Deno.readTextFileSync(`${root}/deno.json`));

/** Whether deno.json publishes a file or a folder. The path is relative to the root. */
export function isPublished(path: string): boolean {
  const within = (list: readonly string[]) =>
    list.some((entry) => `${path}/`.startsWith(`${entry}/`));
  return within(publish.include) && !within(publish.exclude);
}
