// Names that are not UTF-8, which JavaScript cannot say: beside a file, and on the way to it by a symbolic link or
// the working directory.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { DmaFile, DmaStreamWriter } from "../../mod.ts";
import { assertFile, pattern } from "../support/bytes.ts";
import { runChild } from "../support/child.ts";
import { type TestDirectory, testInEachDirectory } from "../support/dirs.ts";
import "../support/engine.ts";
import { runOrThrow } from "../setup/command.ts";

/** Runs a shell command in a directory; `$odd` is a name that is not UTF-8. */
async function shell(dir: TestDirectory, command: string): Promise<string> {
  const name = `odd="$(printf 'odd\\377name')"`;
  return await runOrThrow("sh", ["-c", `cd "$0" && ${name}; ${command}`, dir.path]);
}

async function write(file: DmaFile): Promise<void> {
  const writer = new DmaStreamWriter(file, { bufferSize: 8192 });
  await writer.write(pattern(30_001));
  await writer.close();
}

testInEachDirectory("Neighbours whose names are not UTF-8 stay unchanged", async (dir) => {
  await shell(dir, 'echo old > "$odd"; echo old > ".$odd.tmp"');
  await write(await DmaFile.create(dir.file("plain")));
  await write(await DmaFile.create(dir.file("atomic"), { atomic: true }));
  await write(await DmaFile.create(dir.file("atomic"), { atomic: true }));
  const file = await DmaFile.open(dir.file("plain"), { write: true });
  await file.rename(dir.file("renamed"));
  await file.close();
  await assertFile(dir.file("renamed"), pattern(30_001));
  await assertFile(dir.file("atomic"), pattern(30_001));
  assertEquals(await shell(dir, 'cat "$odd" ".$odd.tmp"; ls -A | wc -l'), "old\nold\n4");
});

testInEachDirectory(
  "A folder whose name is not UTF-8 is written to by a symbolic link",
  async (dir) => {
    await shell(dir, 'mkdir "$odd"; ln -s "$odd" link');
    await write(await DmaFile.create(dir.file("link/plain")));
    await write(await DmaFile.create(dir.file("link/atomic"), { atomic: true }));
    await write(await DmaFile.create(dir.file("link/atomic"), { atomic: true }));
    const file = await DmaFile.create(dir.file("link/first"));
    await file.rename(dir.file("link/second"));
    await write(file);
    for (const name of ["plain", "atomic", "second"]) {
      await assertFile(dir.file(`link/${name}`), pattern(30_001));
    }
    assertEquals(await shell(dir, 'ls -A "$odd" | wc -l'), "3");
  },
);

testInEachDirectory(
  "A name that is not UTF-8 is not mistaken for an allowed one",
  async (dir) => {
    // What a lenient decoder makes of the other folder's name.
    const allowed = dir.file("odd\ufffdname");
    await Deno.mkdir(allowed);
    await shell(dir, 'mkdir "$odd"; echo secret > "$odd/file"');
    await shell(dir, `ln -s "../$odd/file" '${allowed}/link'; ln -s "../$odd" '${allowed}/folder'`);
    const paths = JSON.stringify([`${allowed}/link`, `${allowed}/folder/file`]);
    const { output } = await runChild(
      `
    for (const path of ${paths}) {
      await report(() => dma.DmaFile.open(path));
      await report(() => dma.DmaFile.create(path));
    }
    await report(() => dma.DmaFile.create(${JSON.stringify(`${allowed}/folder/new`)}));
    const file = await dma.DmaFile.create(${JSON.stringify(`${allowed}/new`)});
    await file.close();
    console.log("made");
  `,
      { flags: ["--allow-ffi", `--allow-read=${allowed}`, `--allow-write=${allowed}`] },
    );
    const lines = output.split("\n");
    assertEquals(lines.length, 6, output);
    for (const line of lines.slice(0, 5)) assertStringIncludes(line, "NotCapable: ");
    assertEquals(lines[5], "made");
    assertEquals(await shell(dir, 'cat "$odd/file"; ls -A "$odd"'), "secret\nfile");
  },
);
