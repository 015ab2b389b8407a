// The files that `deno publish` publishes, by the list in deno.json.

/** The root of the project, as a URL that ends with a slash. */
export const root: string = new URL("../..", import.meta.url).href;

const { publish } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));

/** Whether deno.json publishes a file or a folder. The path is relative to the root. */
export function isPublished(path: string): boolean {
  const within = (list: readonly string[]) =>
    list.some((entry) => `${path}/`.startsWith(`${entry}/`));
  return within(publish.include) && !within(publish.exclude);
}
