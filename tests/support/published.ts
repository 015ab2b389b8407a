// The files that `deno publish` would publish: by the list in deno.json, and by its dry run.

import { run } from "../setup/command.ts";

/** The root of the project, as a URL that ends with a slash. */
export const root: string = new URL("../..", import.meta.url).href;

const { publish } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));

/** Whether deno.json publishes a file or a folder. The path is relative to the root. */
export function isPublished(path: string): boolean {
  const within = (list: readonly string[]) =>
    list.some((entry) => `${path}/`.startsWith(`${entry}/`));
  return within(publish.include) && !within(publish.exclude);
}

export interface DryRun {
  readonly success: boolean;
  /** Paths of the files, relative to the root, sorted. */
  readonly files: readonly string[];
  /** Every line that neither names a file nor is expected. */
  readonly complaints: readonly string[];
}

/** The lines of a dry run without complaints. */
const expected = [
  /^$/,
  /^(Check|Download|Initialize|Install) /,
  /^Checking for slow types in the public API\.\.\.$/,
  /^Simulating publish of @denodma\/dma@\S+ with files:$/,
  /^Success Dry run complete$/,
];

let once: Promise<DryRun> | undefined;

/** The dry run, which is done once for each test file. */
export function dryRun(): Promise<DryRun> {
  return once ??= publishDryRun();
}

async function publishDryRun(): Promise<DryRun> {
  const args = ["publish", "--dry-run", "--allow-dirty"];
  const options = { cwd: new URL(root), env: { NO_COLOR: "1" } };
  const { success, stdout, stderr } = await run(Deno.execPath(), args, options);
  const lines = `${stdout}\n${stderr}`.split("\n");
  const files: string[] = [];
  const complaints: string[] = [];
  for (const line of lines) {
    const file = /^\s+(file:\S+) \([\d.]+\w+\)$/.exec(line)?.[1];
    if (file?.startsWith(root)) files.push(decodeURIComponent(file.slice(root.length)));
    else if (!expected.some((pattern) => pattern.test(line))) complaints.push(line);
  }
  return { success, files: files.sort(), complaints };
}
