// Network file systems of the kernel, and directories shared by a hypervisor: the servers and mounts on the machine
// that tests/mounts/network.ts boots.

import { run, runOrThrow } from "../setup/command.ts";
import { CEPH_PORT } from "./ceph.ts";
import type { Distributed, Site } from "./distributed_servers.ts";
import { ROOM } from "./servers.ts";

/** The tags of a directory of the host, which is shared twice. Below it are those of {@linkcode shared}. */
export const tags = { nine: ["nine", "nine2"], virtio: ["virtio", "virtio2"] } as const;

/** Directories below the shared one: with room, with little room, and with a slow server. */
export const shared = {
  large: "large",
  small: "small",
  slow: "slow",
} as const;

/** Servers on the host: the name of the file system, and the address. */
export const onHost = { name: "CephFS", address: "10.97.0.1" } as const;

/** The packages of the machine. */
export const packages = [
  ...["busybox-static", "cifs-utils", "e2fsprogs", "iproute2", "kmod", "mount"],
  ...["nfs-kernel-server", "rpcbind", "samba"],
];

/** O_APPEND means the end of the file as the client last saw it (open(2)). */
const APPENDS_ALONE = "clients that append at once";

/** QEMU's 9p grants every lock, and virtiofsd handles none by default. */
const LOCKS_ALONE = "lock";

/** Delays all packets that leave through an interface. */
async function delay(device: string, milliseconds: number): Promise<void> {
  await run("tc", ["qdisc", "del", "dev", device, "root"]);
  if (milliseconds === 0) return;
  const netem = ["netem", "delay", `${milliseconds}ms`];
  await runOrThrow("tc", ["qdisc", "add", "dev", device, "root", ...netem]);
}

async function slowLoopback({ mount }: Site, milliseconds: number): Promise<string> {
  // There and back.
  await delay("lo", milliseconds / 2);
  return mount;
}

/** Two directories to serve: one on the disk, and one on a separate small disk. */
async function makeServed({ work }: Site): Promise<{ large: string; small: string }> {
  const [large, small, image] = [`${work}/large`, `${work}/small`, `${work}/image`];
  for (const path of [large, small]) await Deno.mkdir(path);
  await runOrThrow("truncate", ["-s", `${ROOM}`, image]);
  await runOrThrow("mkfs.ext4", ["-qF", image]);
  await runOrThrow("mount", ["-o", "loop", image, small]);
  return { large, small };
}

async function mountAt(path: string, type: string, source: string, options: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true });
  await runOrThrow("mount", ["-t", type, "-o", options, source, path]);
}

/** The address of another machine, and this machine's as that one sees it. */
const OTHER = { address: "10.98.0.2", server: "10.98.0.1", netns: "other" };

/** Simulates another machine: a separate network and name. */
async function makeOther(): Promise<void> {
  const { address, server, netns } = OTHER;
  const ip = (...args: string[]) => runOrThrow("ip", args);
  await ip("netns", "add", netns);
  await ip("link", "add", netns, "type", "veth", "peer", "name", "eth0", "netns", netns);
  await ip("addr", "add", `${server}/24`, "dev", netns);
  await ip("link", "set", netns, "up");
  await ip("-n", netns, "addr", "add", `${address}/24`, "dev", "eth0");
  await ip("-n", netns, "link", "set", "eth0", "up");
}

/** Mounts as another machine does, in the mount namespace of this one. */
async function mountByOther(path: string, source: string, options: string): Promise<void> {
  const { server, netns } = OTHER;
  await Deno.mkdir(path, { recursive: true });
  const mount = `hostname ${netns} && mount -t nfs -o ${options} ${server}:${source} ${path}`;
  const name = ["unshare", "--uts", "sh", "-c", mount];
  await runOrThrow("nsenter", [`--net=/run/netns/${netns}`, "--", ...name]);
}

/** Both clients of version 3 are this machine: its locks take a daemon for each network. */
function nfs(version: "3" | "4.2"): Distributed {
  const options = `vers=${version}`;
  const name = `NFS ${version}`;
  const isOld = version === "3";
  /** Version 4 sees the directories below the root of the exports. */
  const seenAt = (path: string) => isOld ? path : path.slice(path.lastIndexOf("/"));
  return {
    name,
    breaks: [APPENDS_ALONE],
    version: () => ["uname", "-r"],
    up: async (site) => {
      const { mount, start, port } = site;
      const { large, small } = await makeServed(site);
      await run("mount", ["-t", "nfsd", "nfsd", "/proc/fs/nfsd"]);
      start("rpcbind", "-f", "-w");
      await port(111);
      start("rpc.statd", "-F", "--no-notify");
      // The first one is the root for version 4.
      for (const [index, path] of [site.work, large, small].entries()) {
        const exported = `rw,no_root_squash,insecure,no_subtree_check,fsid=${index}`;
        for (const client of ["127.0.0.1", OTHER.address]) {
          await runOrThrow("exportfs", ["-o", exported, `${client}:${path}`]);
        }
      }
      start("rpc.mountd", "-F");
      await runOrThrow("rpc.nfsd", ["--grace-time", "10", "--lease-time", "10", "8"]);
      await port(2049);
      const source = (path: string) => `127.0.0.1:${seenAt(path)}`;
      await mountAt(mount, "nfs", source(large), options);
      await mountAt(`${mount}-small`, "nfs", source(small), options);
      const second = `${mount}-second`;
      if (isOld) return await mountAt(second, "nfs", source(large), `${options},nosharecache`);
      await makeOther();
      await mountByOther(second, seenAt(large), options);
    },
    slow: slowLoopback,
    down: async ({ work }) => {
      await run("rpc.nfsd", ["0"]);
      await run("exportfs", ["-ua"]);
      await run("ip", ["netns", "del", OTHER.netns]);
      await run("umount", [`${work}/small`]);
    },
  };
}

/** A file that is removed keeps its name until it is closed. */
function smb(name: string, options: string, breaks: readonly string[] = []): Distributed {
  return {
    name,
    breaks: [APPENDS_ALONE, "has no name at once", ...breaks],
    version: () => ["smbd", "--version"],
    up: async (site) => {
      const { work, mount, start, port } = site;
      const served = await makeServed(site);
      const share = (name: "large" | "small") => [
        `[${name}]`,
        `path = ${served[name]}`,
        ...["guest ok = yes", "read only = no", "force user = root"],
      ];
      const folders = ["private dir", "lock directory", "state directory", "cache directory"];
      await Deno.mkdir(`${work}/samba`);
      const configuration = [
        "[global]",
        ...["map to guest = Bad User", "guest account = root", "server role = standalone"],
        ...["interfaces = lo", "bind interfaces only = yes", "smb ports = 445"],
        ...["disable spoolss = yes", "load printers = no", `log file = ${work}/smbd.log`],
        ...[...folders, "pid directory", "ncalrpc dir"].map((name) => `${name} = ${work}/samba`),
        ...share("large"),
        ...share("small"),
        "",
      ];
      await Deno.writeTextFile(`${work}/smb.conf`, configuration.join("\n"));
      start("smbd", "-F", "-s", `${work}/smb.conf`);
      await port(445);
      const guest = `guest,${options}`;
      await mountAt(mount, "cifs", "//127.0.0.1/large", guest);
      await mountAt(`${mount}-second`, "cifs", "//127.0.0.1/large", `${guest},nosharesock`);
      await mountAt(`${mount}-small`, "cifs", "//127.0.0.1/small", guest);
    },
    slow: slowLoopback,
    down: async ({ work }) => {
      await run("umount", [`${work}/small`]);
    },
  };
}

/** What the host shares: both mounts go below it, and the directories of {@linkcode shared} are bound to their places. */
function fromHost(
  name: string,
  [tag, second]: readonly [string, string],
  type: string,
  options: string,
  breaks: readonly string[],
): Distributed {
  const bind = async (from: string, to: string) => {
    await Deno.mkdir(to, { recursive: true });
    await runOrThrow("mount", ["--bind", from, to]);
  };
  return {
    name,
    breaks,
    version: () => ["uname", "-r"],
    up: async ({ mount, work }) => {
      await mountAt(`${work}/one`, type, tag, options);
      await mountAt(`${work}/two`, type, second, options);
      await bind(`${work}/one/${shared.large}`, mount);
      await bind(`${work}/two/${shared.large}`, `${mount}-second`);
      await bind(`${work}/one/${shared.small}`, `${mount}-small`);
    },
    slow: ({ work }) => Promise.resolve(`${work}/one/${shared.slow}`),
    down: async ({ work }) => {
      for (const each of ["one", "two"]) await run("umount", [`${work}/${each}`]);
    },
  };
}

/** The kernel's client, of a cluster on the host. */
const ceph: Distributed = {
  name: onHost.name,
  breaks: [APPENDS_ALONE],
  version: () => ["uname", "-r"],
  up: async ({ mount }) => {
    const ip = (...args: string[]) => runOrThrow("ip", args);
    await ip("addr", "add", "10.0.2.15/24", "dev", "eth0");
    await ip("link", "set", "eth0", "up");
    await ip("route", "add", "default", "via", "10.0.2.2");
    const source = `${onHost.address}:${CEPH_PORT}:/`;
    await mountAt(mount, "ceph", source, "name=admin");
    await mountAt(`${mount}-second`, "ceph", source, "name=admin,noshare");
  },
  slow: async ({ mount }, milliseconds) => {
    await delay("eth0", milliseconds);
    return mount;
  },
};

const NINE = "trans=virtio,version=9p2000.L,msize=262144";

export const networkServers: readonly Distributed[] = [
  nfs("4.2"),
  nfs("3"),
  // The page cache of kernels 6.12 and 7.2 takes what another client wrote at the end for zeros, with Deno's files too.
  smb("SMB 3.1.1", "vers=3.1.1", ["goes on at the end", "in turns"]),
  smb("SMB 3.1.1, cache=none", "vers=3.1.1,cache=none"),
  fromHost("9p", tags.nine, "9p", NINE, [LOCKS_ALONE]),
  // Made for one client (Documentation/filesystems/9p.rst).
  fromHost("9p, cache=loose", tags.nine, "9p", `${NINE},cache=loose`, ["client"]),
  fromHost("virtiofs", tags.virtio, "virtiofs", "rw", [LOCKS_ALONE]),
  ceph,
];
