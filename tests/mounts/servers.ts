// Real file systems that Debian has and that mount in a second or two: how each is started, and taken down.

import { hasProgram, pause, run, runOrThrow, searchPath } from "../setup/command.ts";
import { isMounted } from "../setup/mounts.ts";
import type { FullDisk } from "./promises.ts";

/** Bytes that there are on each, about. */
export const ROOM = 24 << 20;

/** Where a file system is made. */
interface Place {
  /** An empty directory on a disk of {@linkcode ROOM} bytes. */
  readonly disk: string;
  /** An empty directory for everything else. */
  readonly work: string;
  /** Where to mount it. */
  readonly mount: string;
}

/** What serves one. */
export interface Server {
  readonly name: string;
  /** Programs that it takes. */
  readonly programs: readonly string[];
  /** Options by which it is started: each list is one mount. */
  readonly options: readonly (readonly string[])[];
  /** What comes of a full disk with these options. */
  fullDisk(options: readonly string[]): FullDisk;
  /** The program that serves in the foreground, and its arguments; undefined where the kernel does. */
  start(place: Place, options: readonly string[]): Promise<readonly string[] | undefined>;
}

async function makeImage({ disk }: Place, ...mkfs: string[]): Promise<string> {
  const image = `${disk}/image`;
  await runOrThrow("truncate", ["-s", `${ROOM}`, image]);
  const [program = "", ...args] = mkfs;
  await runOrThrow(program, [...args, image]);
  return image;
}

/** What answers SFTP, in no search path. */
const SFTP = "/usr/lib/openssh/sftp-server";

const fullDisk = () => ({ codes: ["ENOSPC", "EDQUOT"], flushes: true });

/** The plain mount, and one in which the kernel caches nothing. */
const DIRECT = [[], ["-o", "direct_io"]];

/** Every one of them. */
export const servers: readonly Server[] = [
  {
    name: "bindfs",
    programs: ["bindfs"],
    options: DIRECT,
    fullDisk,
    start: ({ disk, mount }, options) => Promise.resolve(["bindfs", "-f", ...options, disk, mount]),
  },
  {
    name: "encfs",
    programs: ["encfs"],
    options: [[], ["--", "-o", "direct_io"]],
    fullDisk,
    start: ({ disk, mount }, options) =>
      Promise.resolve([
        "encfs",
        "-f",
        "--standard",
        "--extpass=echo pw",
        disk,
        mount,
        ...options,
      ]),
  },
  {
    name: "fuse2fs",
    programs: ["fuse2fs", "mkfs.ext4"],
    options: DIRECT,
    fullDisk,
    start: async (place, options) => {
      const image = await makeImage(place, "mkfs.ext4", "-qF");
      return ["fuse2fs", "-f", ...options, image, place.mount];
    },
  },
  {
    name: "mergerfs",
    programs: ["mergerfs"],
    options: [[], ["-o", "cache.files=off"]],
    fullDisk,
    start: async ({ disk, mount }, options) => {
      await Deno.mkdir(`${disk}/a`);
      await Deno.mkdir(`${disk}/b`);
      return ["mergerfs", "-f", ...options, "-o", "minfreespace=0", `${disk}/a:${disk}/b`, mount];
    },
  },
  {
    name: "unionfs-fuse",
    programs: ["unionfs"],
    options: DIRECT,
    fullDisk,
    start: async ({ disk, mount }, options) => {
      await Deno.mkdir(`${disk}/a`);
      await Deno.mkdir(`${disk}/b`);
      return ["unionfs", "-f", "-o", "cow", ...options, `${disk}/a=RW:${disk}/b=RO`, mount];
    },
  },
  {
    name: "gocryptfs",
    programs: ["gocryptfs"],
    options: [[], ["-sharedstorage"]],
    fullDisk,
    start: async ({ disk, work, mount }, options) => {
      await Deno.writeTextFile(`${work}/password`, "pw");
      const password = ["-passfile", `${work}/password`];
      await runOrThrow("gocryptfs", ["-q", "-init", "-scryptn", "10", ...password, disk]);
      return ["gocryptfs", "-fg", "-nosyslog", ...password, ...options, disk, mount];
    },
  },
  {
    name: "sshfs",
    programs: ["sshfs", SFTP],
    options: [[], ["-o", "sshfs_sync"], ["-o", "direct_io,sshfs_sync"]],
    // SFTP has no error for a full disk.
    fullDisk: () => ({ codes: ["EIO"], flushes: true }),
    start: async ({ disk, work, mount }, options) => {
      // Without a network: what ssh would start at the other end is started here.
      await Deno.writeTextFile(`${work}/sftp`, `#!/bin/sh\nexec ${SFTP}\n`, { mode: 0o755 });
      return [
        "sshfs",
        "-f",
        "-o",
        `ssh_command=${work}/sftp`,
        ...options,
        `nobody:${disk}`,
        mount,
      ];
    },
  },
  {
    name: "fuse-overlayfs",
    programs: ["fuse-overlayfs"],
    options: [[]],
    fullDisk,
    start: async ({ disk, mount }, options) => {
      for (const each of ["lower", "upper", "work"]) await Deno.mkdir(`${disk}/${each}`);
      const layers = `lowerdir=${disk}/lower,upperdir=${disk}/upper,workdir=${disk}/work`;
      return ["fuse-overlayfs", "-f", ...options, "-o", layers, mount];
    },
  },
  {
    name: "ntfs-3g",
    programs: ["ntfs-3g", "mkntfs"],
    options: [[]],
    fullDisk,
    start: async (place, options) => {
      const image = await makeImage(place, "mkntfs", "-q", "-F", "-f");
      return ["ntfs-3g", "-o", "no_detach", ...options, image, place.mount];
    },
  },
  {
    name: "overlay",
    programs: ["mount"],
    options: [[]],
    fullDisk,
    start: async ({ disk, mount }) => {
      for (const each of ["lower", "upper", "work"]) await Deno.mkdir(`${disk}/${each}`);
      const layers = `lowerdir=${disk}/lower,upperdir=${disk}/upper,workdir=${disk}/work`;
      await runOrThrow("mount", ["-t", "overlay", "overlay", "-o", layers, mount]);
      return undefined;
    },
  },
];

/** The programs that it lacks here. */
export function missingPrograms({ programs }: Server): readonly string[] {
  return programs.filter((program) => !hasProgram(program));
}

/** A file system that is mounted. */
export class Mounted implements AsyncDisposable {
  private constructor(
    readonly path: string,
    readonly process: Deno.ChildProcess | undefined,
    readonly disk: string,
  ) {}

  /** Mounts one below an empty directory. */
  static async start(
    server: Server,
    options: readonly string[],
    directory: string,
  ): Promise<Mounted> {
    const place = {
      disk: `${directory}/disk`,
      work: `${directory}/work`,
      mount: `${directory}/mount`,
    };
    for (const path of Object.values(place)) await Deno.mkdir(path);
    await runOrThrow("mount", ["-t", "tmpfs", "-o", `size=${ROOM}`, "tmpfs", place.disk]);
    let child: Deno.ChildProcess | undefined;
    try {
      const [program, ...args] = await server.start(place, options) ?? [];
      if (program !== undefined) {
        child = new Deno.Command(program, {
          args,
          env: { PATH: searchPath },
          stdin: "null",
          stdout: "null",
          stderr: "null",
        }).spawn();
      }
      await waitForMount(place.mount, child);
    } catch (error) {
      await takeDown(place.mount, child);
      await takeDown(place.disk);
      throw error;
    }
    return new Mounted(place.mount, child, place.disk);
  }

  /** Unmounts it, and ends what serves it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await takeDown(this.path, this.process);
    await takeDown(this.disk);
  }
}

async function waitForMount(path: string, child: Deno.ChildProcess | undefined): Promise<void> {
  let ended = false;
  child?.status.then(() => ended = true);
  for (let tried = 0; tried < 400 && !ended; tried++) {
    if (isMounted(path)) return;
    await pause(25);
  }
  throw new Error(`Nothing is mounted at ${path}`);
}

async function takeDown(path: string, child?: Deno.ChildProcess): Promise<void> {
  for (let tried = 0; tried < 40 && isMounted(path); tried++) {
    if ((await run("umount", [path])).success) break;
    await pause(50);
  }
  if (isMounted(path)) await run("umount", ["--lazy", path]);
  if (!child) return;
  // Most end by themselves when they are unmounted.
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
  await child.status;
  clearTimeout(timer);
}
