// Finds real input on any machine: folders of the system that together have some hundreds of MiB.

const MIN_BYTES = 300 * 1024 ** 2;
const MAX_BYTES = 800 * 1024 ** 2;
// Smaller folders would only make the list long.
const WORTH_BYTES = 16 * 1024 ** 2;
// Folders of a compiler, Node.js and Debian itself. The first ones have many files of mixed sizes, like real work.
const ROOTS = ["/usr/lib", "/usr/include", "/usr/share", "/usr/local", "/usr/bin", "/opt", "/usr"];

/** Folders and the bytes of their files, as `du` counts them. */
export interface Input {
  /** Absolute paths, none inside another. */
  folders: string[];
  /** Bytes of all their files. */
  bytes: number;
}

/** Folders that together have between 300 and 800 MiB, or less if the machine has less. */
export async function findFolders(): Promise<Input> {
  const input: Input = { folders: [], bytes: 0 };
  for (const folder of candidates()) {
    if (input.folders.some((taken) => folder === taken || folder.startsWith(`${taken}/`))) continue;
    const bytes = await diskUsage(folder);
    if (bytes < WORTH_BYTES || input.bytes + bytes > MAX_BYTES) continue;
    input.folders.push(folder);
    input.bytes += bytes;
    if (input.bytes >= MIN_BYTES) break;
  }
  return input;
}

/** The size of the given folders. */
export async function measureFolders(folders: string[]): Promise<Input> {
  const input: Input = { folders: [], bytes: 0 };
  for (const folder of folders) {
    input.folders.push(await Deno.realPath(folder));
    input.bytes += await diskUsage(folder);
  }
  return input;
}

function* candidates(): Generator<string> {
  for (const root of ROOTS) {
    let names: string[];
    try {
      names = [...Deno.readDirSync(root)].filter((entry) => entry.isDirectory)
        .map((entry) => entry.name).sort();
    } catch {
      continue;
    }
    for (const name of names) yield `${root}/${name}`;
  }
}

async function diskUsage(folder: string): Promise<number> {
  const { stdout } = await new Deno.Command("du", {
    args: ["--summarize", "--block-size=1", "--one-file-system", folder],
    stderr: "null",
  }).output();
  return Number.parseInt(new TextDecoder().decode(stdout), 10) || 0;
}
