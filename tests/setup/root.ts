// Where the project is.

import { fileURLToPath, pathToFileURL } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** The URL of one of its files, for a program that imports it. */
export function urlOf(path: string): string {
  return pathToFileURL(`${root}/${path}`).href;
}
