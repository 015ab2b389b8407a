// FUSE servers of Debian that mount in a second or two: their start and their end.

import { hasProgram, pause, runOrThrow, searchPath } from "../setup/command.ts";
import { isMounted, unmount } from "../setup/mounts.ts";
import type { FullDisk } from "./promises.ts";

/** The approximate size of each in bytes. */
export const ROOM = 24 << 20;

/** The server of a file system. */
export interface Server {
  readonly name: string;
  readonly programs: readonly string[];
  /** The options: each list is one mount. */
  readonly options: readonly (readonly string[])[];
  /**
   * A shell script that serves in the foreground, with the options as its arguments. `$disk` is an empty directory on a disk of
   * {@linkcode ROOM} bytes, `$work` one for everything else, and `$mount` where to mount. It ends where the kernel serves.
   */
  readonly script: string;
  /** The errors that may report a full disk. */
  readonly fullCodes?: readonly string[];
}

/** The SFTP server, which is in no search path. */
const SFTP = "/usr/lib/openssh/sftp-server";

/** The plain mount, and one without a page cache. */
const DIRECT = [[], ["-o", "direct_io"]];

const IMAGE = `truncate -s ${ROOM} $disk/image`;

const LAYERS = "lowerdir=$disk/lower,upperdir=$disk/upper,workdir=$disk/work";
const MAKE_LAYERS = "mkdir $disk/lower $disk/upper $disk/work";

export const servers: readonly Server[] = [
  {
    name: "bindfs",
    programs: ["bindfs"],
    options: DIRECT,
    script: 'exec bindfs -f "$@" $disk $mount',
  },
  {
    name: "encfs",
    programs: ["encfs"],
    options: [[], ["--", "-o", "direct_io"]],
    script: 'exec encfs -f --standard "--extpass=echo pw" $disk $mount "$@"',
  },
  {
    name: "fuse2fs",
    programs: ["fuse2fs", "mkfs.ext4"],
    options: DIRECT,
    script: `${IMAGE}; mkfs.ext4 -qF $disk/image; exec fuse2fs -f "$@" $disk/image $mount`,
  },
  {
    name: "mergerfs",
    programs: ["mergerfs"],
    options: [[], ["-o", "cache.files=off"]],
    script: 'mkdir $disk/a $disk/b; exec mergerfs -f "$@" -o minfreespace=0 $disk/a:$disk/b $mount',
  },
  {
    name: "unionfs-fuse",
    programs: ["unionfs"],
    options: DIRECT,
    script: 'mkdir $disk/a $disk/b; exec unionfs -f -o cow "$@" $disk/a=RW:$disk/b=RO $mount',
  },
  {
    name: "gocryptfs",
    programs: ["gocryptfs"],
    options: [[], ["-sharedstorage"]],
    script: `printf pw >$work/password
      gocryptfs -q -init -scryptn 10 -passfile $work/password $disk
      exec gocryptfs -fg -nosyslog -passfile $work/password "$@" $disk $mount`,
  },
  {
    name: "sshfs",
    programs: ["sshfs", SFTP],
    options: [[], ["-o", "sshfs_sync"], ["-o", "direct_io,sshfs_sync"]],
    // Without a network: the program that ssh would start on the server is started here.
    script: `printf '#!/bin/sh\\nexec ${SFTP}\\n' >$work/sftp; chmod 755 $work/sftp
      exec sshfs -f -o ssh_command=$work/sftp "$@" nobody:$disk $mount`,
    // SFTP has no error for it.
    fullCodes: ["EIO"],
  },
  {
    name: "fuse-overlayfs",
    programs: ["fuse-overlayfs"],
    options: [[]],
    script: `${MAKE_LAYERS}; exec fuse-overlayfs -f -o ${LAYERS} $mount`,
  },
  {
    name: "ntfs-3g",
    programs: ["ntfs-3g", "mkntfs"],
    options: [[]],
    script: `${IMAGE}; mkntfs -q -F -f $disk/image; exec ntfs-3g -o no_detach $disk/image $mount`,
  },
  {
    name: "overlay",
    programs: ["mount"],
    options: [[]],
    script: `${MAKE_LAYERS}; mount -t overlay overlay -o ${LAYERS} $mount`,
  },
];

/** The expected result of a full disk on a server. */
export function fullDisk({ fullCodes = ["ENOSPC", "EDQUOT"] }: Server): FullDisk {
  return { codes: fullCodes, flushes: true };
}

export function missingPrograms({ programs }: Server): readonly string[] {
  return programs.filter((program) => !hasProgram(program));
}

export class Mounted implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  #ended = false;

  private constructor(
    readonly path: string,
    readonly disk: string,
    child: Deno.ChildProcess,
  ) {
    this.#child = child;
    child.status.then(() => this.#ended = true);
  }

  /** Mounts one below an empty directory. */
  static async start(
    { script }: Server,
    options: readonly string[],
    directory: string,
  ): Promise<Mounted> {
    const [disk, work, mount] = ["disk", "work", "mount"].map((name) => `${directory}/${name}`);
    for (const path of [disk, work, mount]) await Deno.mkdir(path!);
    await runOrThrow("mount", ["-t", "tmpfs", "-o", `size=${ROOM}`, "tmpfs", disk!]);
    const child = new Deno.Command("sh", {
      args: ["-ec", script, "sh", ...options],
      env: { PATH: searchPath, disk: disk!, work: work!, mount: mount! },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const mounted = new Mounted(mount!, disk!, child);
    for (let tried = 0; tried < 400 && !isMounted(mount!) && !mounted.#ended; tried++) {
      await pause(25);
    }
    if (isMounted(mount!)) return mounted;
    await mounted[Symbol.asyncDispose]();
    throw new Error(`Nothing is mounted at ${mount}`);
  }

  /** The server; undefined for the kernel. */
  get process(): Deno.ChildProcess | undefined {
    return this.#ended ? undefined : this.#child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await unmount(this.path);
    // Most end by themselves when they are unmounted.
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await this.#child.status;
    clearTimeout(timer);
    await unmount(this.disk);
  }
}
