// The program that serves a FUSE file system, in the kernel's list of mounts.

import { assertEquals } from "@std/assert";
import { serverIn } from "../../src/file/proc.ts";

const MOUNTS = [
  "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
  "50 27 0:44 / /tmp/a\\040-\\040b rw,nosuid shared:2 master:1 - fuse.sshfs nobody:/d rw,user_id=0",
  "62 27 0:52 / /mnt/moose rw - fuse mfs\\04310.99.0.1:9421 rw,user_id=0",
  "63 27 0:53 / /mnt/bind rw - fuse /data rw,user_id=0",
  "64 27 7:0 / /mnt/ntfs rw - fuseblk /dev/loop0 rw,user_id=0",
  "",
].join("\n");

Deno.test("The server of a device is found among the mounts", () => {
  for (
    const [deviceMajor, deviceMinor, server] of [
      [0, 44, "sshfs"],
      [0, 52, "mfs"],
      [0, 53, "/data"],
      [7, 0, "/dev/loop0"],
      [0, 4, undefined],
    ] as const
  ) assertEquals(serverIn(MOUNTS, { deviceMajor, deviceMinor }), server);
});
