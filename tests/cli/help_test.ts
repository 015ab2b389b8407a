// The help text: it teaches, fits a terminal, agrees with the code, and needs no permission.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { DEFAULT_BUFFER_SIZE, DEFAULT_WRITE_BEHIND } from "../../mod.ts";
import { STOPPING_SIGNALS } from "../../cli/exit_codes.ts";
import { formatSize } from "../../cli/units.ts";
import { dma } from "./process.ts";
import { testOnce } from "../support/once.ts";

const COMMANDS = ["write", "copy", "read", "doctor", "bench", "completion"];

async function help(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await dma([...args, "--help"]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

testOnce(
  "dma --help has a line for each command, three examples, exit codes and permissions",
  async () => {
    const text = await help();
    for (const command of COMMANDS) assertMatch(text, new RegExp(`^  ${command} .* {2}\\S`, "m"));
    const [, examples = ""] = /^Examples:\n((?: {2}.*\n)+)/m.exec(text) ?? [];
    assertEquals(examples.trimEnd().split("\n").length, 3);
    for (const code of [0, 1, 2, ...Object.values(STOPPING_SIGNALS)]) {
      assertMatch(text, new RegExp(`^  ${code} +\\S`, "m"));
    }
    for (const flag of ["--allow-ffi", "--allow-read", "--allow-write"]) {
      assertStringIncludes(text, flag);
    }
  },
);

for (const args of [[], ...COMMANDS.map((command) => [command])]) {
  testOnce(`dma ${[...args, "--help"].join(" ")} fits 80 columns and shows examples`, async () => {
    const text = await help(...args);
    for (const line of text.split("\n")) assert(line.length <= 80, `${line.length}: ${line}`);
    assertStringIncludes(text, "\nExamples:\n");
  });
}

testOnce(
  "dma write --help and copy --help say the defaults, and what is durable when",
  async () => {
    for (const command of ["write", "copy"]) {
      const text = await help(command);
      assertStringIncludes(
        text,
        `${formatSize(DEFAULT_BUFFER_SIZE)} buffers, ${DEFAULT_WRITE_BEHIND} in flight`,
      );
      assertStringIncludes(text, `(default: ${formatSize(DEFAULT_BUFFER_SIZE)})`);
      assertStringIncludes(text, `(default: ${DEFAULT_WRITE_BEHIND})`);
      assertMatch(text, /power cut/);
    }
  },
);

testOnce("dma help COMMAND is the help of the command", async () => {
  const { code, stdout } = await dma(["help", "copy"]);
  assertEquals([code, stdout], [0, await help("copy")]);
});

testOnce("dma shows its help without any permission", async () => {
  for (const args of [["--help"], ["write", "--help"], ["completion", "bash"], ["--version"]]) {
    const { code, stdout, stderr } = await dma(args, undefined, { flags: [] });
    assertEquals([code, stderr], [0, ""], `${args}`);
    assert(stdout.length > 5);
  }
});
