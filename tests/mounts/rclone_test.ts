// rclone without a cache writes files from start to end only.

import "../support/engine.ts";
import { assertRejects } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { inWorkDirectory, missing } from "../faults/machine.ts";
import { say } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { streamPromises } from "./promises.ts";
import { missingPrograms, Mounted, type Server } from "./servers.ts";

const CACHED = ["--vfs-cache-mode", "writes"];

const rclone: Server = {
  name: "rclone",
  programs: ["rclone"],
  options: [[], CACHED],
  script: 'exec rclone mount --config /dev/null --cache-dir $work/cache "$@" $disk $mount',
};

const absent = [...missing(["root", "fuse"]), ...missingPrograms(rclone)];
if (absent.length > 0) say(`Skipped for want of ${absent.join(", ")}: tests on rclone`);

function rcloneTest(
  name: string,
  options: readonly string[],
  check: (mounted: Mounted) => Promise<void>,
): void {
  Deno.test({
    name,
    ignore: absent.length > 0,
    fn: () =>
      inWorkDirectory(async (directory) => {
        await using mounted = await Mounted.start(rclone, options, directory);
        await check(mounted);
      }),
  });
}

const message = "this rclone server writes files from start to end only: " +
  "mount it with a cache (rclone: --vfs-cache-mode writes)";

rcloneTest("a file on rclone that is there is not opened to write", [], async (mounted) => {
  const { path, disk } = mounted;
  await Deno.writeFile(`${disk}/file`, pattern(5000));
  const file = `${path}/file`;
  const { PermissionDenied } = Deno.errors;
  await assertRejects(() => DmaFile.open(file, { write: true }), PermissionDenied, message);
  await assertRejects(() => DmaFile.open(file, { append: true }), PermissionDenied, message);
  await assertFile(file, pattern(5000));
  await using read = await DmaFile.open(file);
  await assertFile(read.path, pattern(5000));
});

rcloneTest("a file on rclone is written from start to end", [], async ({ path, disk }) => {
  for (const length of [2_490_081, 5001]) {
    const file = await DmaFile.create(`${path}/file`);
    await file.writable.write(pattern(length, 3));
    await file.writable.close();
    await assertFile(`${disk}/file`, pattern(length, 3));
  }
});

rcloneTest("a file on rclone with a cache is written anywhere", CACHED, async (mounted) => {
  const { path, disk } = mounted;
  await Deno.writeFile(`${disk}/file`, pattern(5000));
  const file = await DmaFile.open(`${path}/file`, { append: true });
  await file.writable.write(pattern(1001, 5000));
  await file.writable.close();
  await assertFile(`${path}/file`, pattern(6001));
  const own = `${path}/streams`;
  for (const check of Object.values(streamPromises)) {
    await Deno.mkdir(own);
    await check(own);
    await Deno.remove(own, { recursive: true });
  }
});
