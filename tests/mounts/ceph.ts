// The smallest cluster of Ceph, on this machine: one of each daemon, without keys and without copies.

import { pause, runOrThrow } from "../setup/command.ts";
import type { Site } from "./distributed_servers.ts";

export const cephPackages = ["ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds"];

export const CEPH_PORT = 6789;

const daemons = ["mon", "mgr", "osd", "mds"];

function configuration(directory: string, identifier: string, address: string): string[] {
  return [
    "[global]",
    `fsid = ${identifier}`,
    `mon host = ${address}:${CEPH_PORT}`,
    ...[`public addr = ${address}`, `public network = ${address}/32`],
    ...["cluster", "service", "client"].map((part) => `auth ${part} required = none`),
    ...["osd pool default size = 1", "osd pool default min size = 1"],
    "mon allow pool size one = true",
    "osd crush chooseleaf type = 0",
    ...daemons.map((daemon) => `${daemon} data = ${directory}/${daemon}`),
    ...[`run dir = ${directory}`, "admin socket =", "pid file =", "keyring ="],
    `log file = ${directory}/$name.log`,
    ...["bluestore block size = 8589934592", "osd memory target = 1073741824"],
    ...["mon data avail warn = 1", "mon data avail crit = 1"],
    "",
  ];
}

/** Starts a cluster with one file system, at an address of this machine. Resolves to the path of its configuration. */
export async function startCeph(
  { work, start, port }: Pick<Site, "work" | "start" | "port">,
  address: string,
): Promise<string> {
  const path = `${work}/ceph.conf`;
  const identifier = crypto.randomUUID();
  await Deno.writeTextFile(path, configuration(work, identifier, address).join("\n"));
  for (const each of daemons) await Deno.mkdir(`${work}/${each}`);
  const common = ["-c", path];
  const ceph = (...args: string[]) => runOrThrow("ceph", [...common, ...args]);
  const named = [...common, "-i", "a"];
  const addresses = `[v2:${address}:3300,v1:${address}:${CEPH_PORT}]`;
  const map = ["--create", "--fsid", identifier, "--addv", "a", addresses, `${work}/map`];
  await runOrThrow("monmaptool", map);
  await runOrThrow("ceph-mon", [...named, "--mkfs", "--monmap", `${work}/map`]);
  start("ceph-mon", ...named, "-f");
  await port(CEPH_PORT, address);
  start("ceph-mgr", ...named, "-f");
  const disk = crypto.randomUUID();
  await ceph("osd", "new", disk);
  await runOrThrow("ceph-osd", [...common, "-i", "0", "--mkfs", "--osd-uuid", disk]);
  await ceph("osd", "crush", "add", "osd.0", "1", "root=default");
  start("ceph-osd", ...common, "-i", "0", "-f");
  for (const pool of ["meta", "data"]) await ceph("osd", "pool", "create", pool, "8");
  await ceph("fs", "new", "vol", "meta", "data");
  start("ceph-mds", ...named, "-f");
  while (!(await ceph("mds", "stat")).includes("up:active")) await pause(500);
  return path;
}
