// Names that are not UTF-8, which JavaScript cannot say: beside a file, and on the way to it by a symbolic link or
// the working directory.

import { assertEquals } from "@std/assert";
import { DmaFile } from "../../mod.ts";
import { runOrThrow } from "../setup/command.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { type TestDirectory, testInEachDirectory, testInOneDirectory } from "../support/dirs.ts";
import "../support/engine.ts";

/** Runs a shell command in a directory; `$odd` is a name that is not UTF-8. */
async function shell(dir: TestDirectory, command: string): Promise<string> {
  const name = `odd="$(printf 'odd\\377name')"`;
  return await runOrThrow("sh", ["-c", `cd "$0" && ${name}; ${command}`, dir.path]);
}

/** Writes a plain file, one that is renamed, and twice an atomic one. */
async function writeFiles(dir: TestDirectory, folder: string): Promise<void> {
  for (const name of ["plain", "first", "atomic", "atomic"]) {
    const path = dir.file(`${folder}${name}`);
    const file = await DmaFile.create(path, { atomic: name === "atomic" });
    if (name === "first") await file.rename(dir.file(`${folder}second`));
    await file.writable.write(pattern(30_001));
    await file.writable.close();
  }
  for (const name of ["plain", "second", "atomic"]) {
    await assertFile(dir.file(`${folder}${name}`), pattern(30_001));
  }
}

testInEachDirectory("Neighbours whose names are not UTF-8 stay unchanged", async (dir) => {
  await shell(dir, 'echo old > "$odd"; echo old > ".$odd.tmp"');
  await writeFiles(dir, "");
  assertEquals(await shell(dir, 'cat "$odd" ".$odd.tmp"; ls -A | wc -l'), "old\nold\n5");
});

testInEachDirectory("A folder whose name is not UTF-8 is written by a link", async (dir) => {
  await shell(dir, 'mkdir "$odd"; ln -s "$odd" link');
  await writeFiles(dir, "link/");
  assertEquals(await shell(dir, 'ls -A "$odd" | wc -l'), "3");
});

testInOneDirectory("A name that is not UTF-8 is not mistaken for an allowed one", async (dir) => {
  // The name of the other folder as a lenient decoder returns it.
  const allowed = dir.file("odd\ufffdname");
  await Deno.mkdir(allowed);
  await shell(dir, 'mkdir "$odd"; echo secret > "$odd/file"');
  await shell(dir, `ln -s "../$odd/file" '${allowed}/link'; ln -s "../$odd" '${allowed}/folder'`);
  const { output } = await runChild(
    `for (const path of [allowed + "/link", allowed + "/folder/file"]) {
      await report(() => dma.DmaFile.open(path));
      await report(() => dma.DmaFile.create(path));
    }
    await report(() => dma.DmaFile.create(allowed + "/folder/new"));
    const file = await dma.DmaFile.create(allowed + "/new");
    await report(() => file.close());`,
    {
      flags: ["--allow-ffi", `--allow-read=${allowed}`, `--allow-write=${allowed}`],
      values: { allowed },
    },
  );
  const errors = output.split("\n").map((line) => line.split(":")[0]);
  assertEquals(errors, [...Array(5).fill("NotCapable"), "ok undefined"], output);
  assertEquals(await shell(dir, 'cat "$odd/file"; ls -A "$odd"'), "secret\nfile");
});
