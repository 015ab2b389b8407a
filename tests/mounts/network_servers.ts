// Network file systems of the kernel, and directories shared by a hypervisor. As the program of the machine that
// tests/mounts/network.ts boots it tests the promises on those that its arguments name, or on all, and prints a table. It
// needs root, and changes the machine.

import { CEPH_PORT } from "./ceph.ts";
import { APPENDS_ALONE, type Server } from "./servers.ts";
import { tryNamed } from "./try_servers.ts";

/** The tags of a directory of the host, which is shared twice. Below it are those of {@linkcode shared}. */
export const tags = { nine: ["nine", "nine2"], virtio: ["virtio", "virtio2"] } as const;

/** Directories below the shared one: with room, with little room, and with a slow server. */
export const shared = { large: "large", small: "small", slow: "slow" } as const;

/** Servers on the host: the name of the file system, and the address. */
export const onHost = { name: "CephFS", address: "10.97.0.1" } as const;

export const packages = [
  ...["busybox-static", "cifs-utils", "e2fsprogs", "iproute2", "kmod", "mount"],
  ...["nfs-kernel-server", "rpcbind", "samba"],
];

/** QEMU's 9p grants every lock, and virtiofsd handles none by default. */
const LOCKS_ALONE = "a lock";

/** Delays all packets that leave through an interface by so many milliseconds. */
function delay(device: string, milliseconds: string): string {
  return `tc qdisc del dev ${device} root
    [ $1 = 0 ] || tc qdisc add dev ${device} root netem delay ${milliseconds}ms
    echo $mount`;
}

/** There and back. */
const SLOW_LOOPBACK = delay("lo", "$(($1 / 2))");

/** Two directories to serve: one on the disk, and one on a separate small disk. */
const MAKE_SERVED = `mkdir $work/large $work/small $mount-small $mount-second
  mount --bind $disk $work/small`;

/** The address of another machine, and this machine's as that one sees it. */
const OTHER = { address: "10.98.0.2", server: "10.98.0.1" };

/** Mounts as another machine does, with a separate network and name, in the mount namespace of this one. */
const MOUNT_BY_OTHER = `ip netns add other
  ip link add other type veth peer name eth0 netns other
  ip addr add ${OTHER.server}/24 dev other
  ip link set other up
  ip -n other addr add ${OTHER.address}/24 dev eth0
  ip -n other link set eth0 up
  mounting="hostname other && mount -t nfs -o vers=4.2 ${OTHER.server}:/large $mount-second"
  nsenter --net=/run/netns/other -- unshare --uts sh -c "$mounting"`;

/** Both clients of version 3 are this machine: its locks need a daemon for each network. */
function nfs(version: "3" | "4.2"): Server {
  // Version 4 sees the directories below the root of the exports, which is the first one.
  const mount = version === "3"
    ? `mount -t nfs -o vers=3,$3 127.0.0.1:$work/$1 $2`
    : `mount -t nfs -o vers=4.2,$3 127.0.0.1:/$1 $2`;
  return {
    name: `NFS ${version}`,
    breaks: [APPENDS_ALONE],
    script: `${MAKE_SERVED}
      mount -t nfsd nfsd /proc/fs/nfsd || true
      rpcbind -f -w &
      port 111
      rpc.statd -F --no-notify &
      index=0
      for path in $work $work/large $work/small; do
        options=rw,no_root_squash,insecure,no_subtree_check,fsid=$index
        for client in 127.0.0.1 ${OTHER.address}; do exportfs -o $options $client:$path; done
        index=$((index + 1))
      done
      rpc.mountd -F &
      rpc.nfsd --grace-time 10 --lease-time 10 8
      port 2049
      by() { ${mount}; }
      by small $mount-small rw
      ${version === "3" ? "by large $mount-second nosharecache" : MOUNT_BY_OTHER}
      by large $mount rw`,
    slow: SLOW_LOOPBACK,
    down: "rpc.nfsd 0; exportfs -ua; ip netns del other",
  };
}

/** A file that is removed keeps its name until it is closed. */
function smb(name: string, options: string, breaks: readonly string[] = []): Server {
  return {
    name,
    breaks: [APPENDS_ALONE, "has no name at once", ...breaks],
    script: `${MAKE_SERVED}
      mkdir $work/samba
      share() {
        printf '[%s]\\npath = %s\\n' $1 $work/$1
        printf 'guest ok = yes\\nread only = no\\nforce user = root\\n'
      }
      {
        cat <<END
[global]
map to guest = Bad User
guest account = root
server role = standalone
interfaces = lo
bind interfaces only = yes
smb ports = 445
disable spoolss = yes
load printers = no
log file = $work/smbd.log
END
        for each in private\\ dir {lock,state,cache,pid}\\ directory ncalrpc\\ dir; do
          echo "$each = $work/samba"
        done
        share large
        share small
      } >$work/smb.conf
      smbd -F -s $work/smb.conf &
      port 445
      by() { mount -t cifs -o guest,${options}$3 //127.0.0.1/$1 $2; }
      by small $mount-small
      by large $mount-second ,nosharesock
      by large $mount`,
    slow: SLOW_LOOPBACK,
  };
}

/** What the host shares: both mounts go below it, and the directories of {@linkcode shared} are bound to their places. */
function fromHost(
  name: string,
  [tag, second]: readonly [string, string],
  mount: string,
  breaks: readonly string[],
): Server {
  return {
    name,
    breaks,
    script: `mkdir $work/one $work/two $mount-small $mount-second
      mount ${mount} ${tag} $work/one
      mount ${mount} ${second} $work/two
      mount --bind $work/one/${shared.small} $mount-small
      mount --bind $work/two/${shared.large} $mount-second
      mount --bind $work/one/${shared.large} $mount`,
    slow: `echo $work/one/${shared.slow}`,
  };
}

/** The kernel's client, of a cluster on the host. */
const ceph: Server = {
  name: onHost.name,
  breaks: [APPENDS_ALONE],
  script: `ip addr add 10.0.2.15/24 dev eth0
    ip link set eth0 up
    ip route add default via 10.0.2.2
    mkdir $mount-second
    mount -t ceph -o name=admin,noshare ${onHost.address}:${CEPH_PORT}:/ $mount-second
    mount -t ceph -o name=admin ${onHost.address}:${CEPH_PORT}:/ $mount`,
  slow: delay("eth0", "$1"),
};

const NINE = "-t 9p -o trans=virtio,version=9p2000.L,msize=262144";

const servers: readonly Server[] = [
  nfs("4.2"),
  nfs("3"),
  // The page cache of kernels 6.12 to 7.3 takes what another client wrote at the end for zeros, with Deno's files too.
  smb("SMB 3.1.1", "vers=3.1.1", ["goes on at the end", "in turns"]),
  smb("SMB 3.1.1, cache=none", "vers=3.1.1,cache=none"),
  fromHost("9p", tags.nine, NINE, [LOCKS_ALONE]),
  // Made for one client (Documentation/filesystems/9p.rst).
  fromHost("9p, cache=loose", tags.nine, `${NINE},cache=loose`, ["client"]),
  fromHost("virtiofs", tags.virtio, "-t virtiofs", [LOCKS_ALONE]),
  ceph,
];

if (import.meta.main) await tryNamed(servers, () => Promise.resolve(""));
