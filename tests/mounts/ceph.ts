// The smallest cluster of Ceph, on this machine: one of each daemon, without keys and without copies.

export const cephPackages = ["ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds"];

export const CEPH_PORT = 6789;

/** A script that starts a cluster with one file system in `$work`, at an address of this machine. Needs `port`. */
export function startCeph(address: string): string {
  return `
    identifier=$(cat /proc/sys/kernel/random/uuid)
    cat >$work/ceph.conf <<END
[global]
fsid = $identifier
mon host = ${address}:${CEPH_PORT}
public addr = ${address}
public network = ${address}/32
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
mon data = $work/mon
mgr data = $work/mgr
osd data = $work/osd
mds data = $work/mds
run dir = $work
admin socket =
pid file =
keyring =
log file = $work/\\$name.log
bluestore block size = 8589934592
osd memory target = 1073741824
mon data avail warn = 1
mon data avail crit = 1
END
    mkdir $work/{mon,mgr,osd,mds}
    c="-c $work/ceph.conf"
    addresses=[v2:${address}:3300,v1:${address}:${CEPH_PORT}]
    monmaptool --create --fsid $identifier --addv a $addresses $work/map
    ceph-mon $c -i a --mkfs --monmap $work/map
    ceph-mon $c -i a -f &
    port ${CEPH_PORT} ${address}
    ceph-mgr $c -i a -f &
    disk=$(cat /proc/sys/kernel/random/uuid)
    ceph $c osd new $disk
    ceph-osd $c -i 0 --mkfs --osd-uuid $disk
    ceph $c osd crush add osd.0 1 root=default
    ceph-osd $c -i 0 -f &
    for pool in meta data; do ceph $c osd pool create $pool 8; done
    ceph $c fs new vol meta data
    ceph-mds $c -i a -f &
    until ceph $c mds stat | grep -q up:active; do sleep 0.5; done
  `;
}
