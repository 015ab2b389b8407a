// Servers of file systems: how each is started, and those of the suite, which Debian has and which mount soon.

import { pause, run, runOrThrow, start } from "../setup/command.ts";
import { isMounted, mountsBelow, unmount } from "../setup/mounts.ts";
import type { Packages } from "../setup/packages.ts";

/** The approximate size of a small disk in bytes. */
export const ROOM = 24 << 20;

/** A promise that clients break if they write with O_APPEND at the end of the file as they last saw it (open(2)). */
export const APPENDS_ALONE = "clients that append at once";

/** The time of a slow server for a request, in milliseconds. */
export const DELAY_MS = 2000;

/** A file system and its server. Scripts are those of bash. */
export interface Server {
  readonly name: string;
  /** The programs without which the suite skips it, with their Debian packages. */
  readonly programs?: Packages;
  readonly debian?: readonly string[];
  readonly python?: readonly string[];
  /** Each list is a mount with these options. */
  readonly options?: readonly (readonly string[])[];
  /**
   * Starts it, with the options as its arguments: in the foreground by `exec`, or in the background. `$disk` is an empty
   * directory on a disk of {@linkcode ROOM} bytes, `$work` one for everything else, `$mount` where to mount, and `$bin` has
   * the Python programs. `$mount-small` may have little room, and `$mount-second` the same files through another client:
   * these are mounted before `$mount`.
   */
  readonly script: string;
  /** Cleans up after the unmount. */
  readonly down?: string;
  readonly version?: string;
  /** Delays every request by `$1` milliseconds, and prints the directory in which that is so. */
  readonly slow?: string;
  /** The errors that may report a full disk; none if that is not tested. @default {["ENOSPC", "EDQUOT"]} */
  readonly fullCodes?: readonly string[];
  /** Parts of the names of promises that are known to be broken, as in docs/file_systems.md. */
  readonly breaks?: readonly string[];
}

/** Ends every program with the script, at last by force. `port` waits for a port, and `mounted` for a mount. */
const PRELUDE = `
  stop() {
    kill $(jobs -p)
    for tried in {1..40}; do [ -z "$(jobs -pr)" ] && return; sleep 0.1; done
    kill -KILL $(jobs -pr)
  }
  trap stop EXIT; trap exit TERM
  port() { until (: </dev/tcp/\${2:-127.0.0.1}/$1) 2>/dev/null; do sleep 0.2; done; }
  mounted() { until mountpoint -q $1; do sleep 0.2; done; }
`;

export class Script implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  ended = false;

  constructor(script: string, env: Record<string, string>, args: readonly string[] = []) {
    const command = ["-ec", `${PRELUDE}${script}\nwait`, "bash", ...args];
    this.#child = start("bash", command, { env, stdout: "null", stderr: "null" });
    this.#child.status.then(() => this.ended = true);
  }

  /** The programs that it runs. */
  get processes(): number[] {
    const found = this.ended ? [] : [this.#child.pid];
    const running: number[] = [];
    for (const pid of found) {
      try {
        // Any thread of a program may have started another one.
        for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
          const started = Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`);
          found.push(...started.split(" ").filter(Boolean).map(Number));
        }
        // mount(8) may still run when the file system is there.
        const name = Deno.readTextFileSync(`/proc/${pid}/comm`).trim();
        if (name !== "bash" && name !== "mount") running.push(pid);
      } catch {
        // It has ended.
      }
    }
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const kill = (signal: Deno.Signal) => this.ended || this.#child.kill(signal);
    kill("SIGTERM");
    const timer = setTimeout(kill, 15_000, "SIGKILL");
    await this.#child.status;
    clearTimeout(timer);
  }
}

export class Mounted implements AsyncDisposable {
  private constructor(
    readonly server: Server,
    readonly directory: string,
    readonly script: Script,
    readonly env: Record<string, string>,
  ) {}

  /** Mounts one below the directory, which must be empty, with one of its lists of options. */
  static async start(server: Server, directory: string, options: readonly string[] = [], bin = "") {
    const env: Record<string, string> = { bin };
    for (const name of ["disk", "work", "mount"]) {
      await Deno.mkdir(env[name] = `${directory}/${name}`, { recursive: true });
    }
    await runOrThrow("mount", ["-t", "tmpfs", "-o", `size=${ROOM}`, "tmpfs", env["disk"]!]);
    const script = new Script(server.script, env, options);
    const mounted = new Mounted(server, directory, script, env);
    for (let tried = 0; tried < 1200 && !isMounted(mounted.path) && !script.ended; tried++) {
      await pause(25);
    }
    if (isMounted(mounted.path)) return mounted;
    await mounted[Symbol.asyncDispose]();
    throw new Error(`${server.name} does not mount`);
  }

  get path(): string {
    return `${this.directory}/mount`;
  }

  async run(script: string, ...args: string[]): Promise<string> {
    const { env } = this;
    const { stdout, output } = await run("bash", ["-c", script, "bash", ...args], { env });
    return stdout.trim() || output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const mounts = mountsBelow(this.directory);
    for (const path of mounts.filter((path) => path.startsWith(this.path))) await unmount(path);
    if (this.server.down) await this.run(this.server.down);
    await this.script[Symbol.asyncDispose]();
    for (const path of mountsBelow(this.directory)) await unmount(path);
  }
}

/** The SFTP server, which is in no search path. */
const SFTP = "/usr/lib/openssh/sftp-server";

/** The plain mount, and one without a page cache. */
const DIRECT = [[], ["-o", "direct_io"]];

const IMAGE = `truncate -s ${ROOM} $disk/image`;

const LAYERS = "lowerdir=$disk/lower,upperdir=$disk/upper,workdir=$disk/work";
const MAKE_LAYERS = "mkdir $disk/lower $disk/upper $disk/work";

/** A FUSE server whose program and package have its name. */
function fuse(name: string, script: string, more: Partial<Server> = {}): Server {
  return { name, programs: { [name]: name }, script, ...more };
}

/** Without a cache it writes files from start to end only. */
export const rclone: Server = fuse(
  "rclone",
  'exec rclone mount --config /dev/null --cache-dir $work/cache "$@" $disk $mount',
  {
    options: [["--vfs-cache-mode", "writes"]],
    fullCodes: [],
    breaks: ["removed while it is open is read", "renamed while it is open"],
  },
);

export const servers: readonly Server[] = [
  rclone,
  fuse("bindfs", 'exec bindfs -f "$@" $disk $mount', { options: DIRECT }),
  fuse("encfs", 'exec encfs -f --standard "--extpass=echo pw" $disk $mount "$@"', {
    options: [[], ["--", "-o", "direct_io"]],
  }),
  fuse("fuse2fs", `${IMAGE}; mkfs.ext4 -qF $disk/image; exec fuse2fs -f "$@" $disk/image $mount`, {
    programs: { "fuse2fs": "fuse2fs", "mkfs.ext4": "e2fsprogs" },
    options: DIRECT,
  }),
  fuse(
    "mergerfs",
    'mkdir $disk/a $disk/b; exec mergerfs -f "$@" -o minfreespace=0 $disk/a:$disk/b $mount',
    { options: [[], ["-o", "cache.files=off"]] },
  ),
  fuse(
    "unionfs-fuse",
    'mkdir $disk/a $disk/b; exec unionfs -f -o cow "$@" $disk/a=RW:$disk/b=RO $mount',
    { programs: { "unionfs": "unionfs-fuse" }, options: DIRECT },
  ),
  fuse(
    "gocryptfs",
    `printf pw >$work/password
      gocryptfs -q -init -scryptn 10 -passfile $work/password $disk
      exec gocryptfs -fg -nosyslog -passfile $work/password "$@" $disk $mount`,
    { options: [[], ["-sharedstorage"]] },
  ),
  fuse(
    "sshfs",
    // Without a network: the program that ssh would start on the server is started here.
    `printf '#!/bin/sh\\nexec ${SFTP}\\n' >$work/sftp; chmod 755 $work/sftp
      exec sshfs -f -o ssh_command=$work/sftp "$@" nobody:$disk $mount`,
    {
      programs: { "sshfs": "sshfs", [SFTP]: "openssh-sftp-server" },
      options: [[], ["-o", "sshfs_sync"], ["-o", "direct_io,sshfs_sync"]],
      // SFTP has no error for it.
      fullCodes: ["EIO"],
    },
  ),
  fuse("fuse-overlayfs", `${MAKE_LAYERS}; exec fuse-overlayfs -f -o ${LAYERS} $mount`),
  fuse(
    "ntfs-3g",
    `${IMAGE}; mkntfs -q -F -f $disk/image; exec ntfs-3g -o no_detach $disk/image $mount`,
  ),
  // The kernel's.
  { name: "overlay", script: `${MAKE_LAYERS}; mount -t overlay overlay -o ${LAYERS} $mount` },
  { name: "ramfs", script: "mount -t ramfs ramfs $mount", fullCodes: [] },
];
