// The completion scripts, in the shells that they are for.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { dma, testInDirectory } from "./process.ts";
import { hasProgram, run } from "../setup/command.ts";
import { hasTerminals } from "./terminal.ts";
import { testOnce } from "../support/once.ts";

const hasBash = hasProgram("bash");
const hasZsh = hasProgram("zsh");
const hasFish = hasProgram("fish");

async function script(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await dma(["completion", ...args]);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

async function printed(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** What bash would offer after these words, the last of which is the one being typed. */
async function inBash(completion: string, ...words: string[]): Promise<string[]> {
  const ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dma; printf "%s\\n" "${COMPREPLY[@]}"';
  const offered = await printed("bash", "--norc", "-c", `${completion}\n${ask}`, "bash", ...words);
  return offered.split("\n").filter((word) => word !== "");
}

Deno.test({
  name: "bash completes commands, options, and their values",
  ignore: !hasBash,
  async fn() {
    const completion = await script("bash");
    const offered = (...words: string[]) => inBash(completion, "dma", ...words);
    const commands = ["write", "copy", "read", "doctor", "bench", "completion", "help"];
    assertEquals(await offered(""), commands);
    assertEquals(await offered("co"), ["copy", "completion"]);
    assertEquals(await offered("--v"), ["--version"]);
    assertEquals(await offered("write", "--wr"), ["--write-behind"]);
    assertEquals(await offered("copy", "a", "--no"), [
      "--no-clobber",
      "--no-sync",
      "--no-progress",
    ]);
    assertEquals(await offered("write", "--direct", ""), ["require", "prefer", "off"]);
    // In --direct=p the sign is a word by itself.
    assertEquals(await offered("write", "--direct", "="), ["require", "prefer", "off"]);
    assertEquals(await offered("write", "--direct", "=", "p"), ["prefer"]);
    assertEquals(await offered("completion", ""), ["bash", "zsh", "fish"]);
    assertEquals(await offered("completion", "--name", "x", "z"), ["zsh"]);
    assertEquals(await offered("help", "d"), ["doctor"]);
  },
});

Deno.test({
  name: "bash leaves file names to readline, and offers nothing where nothing is known",
  ignore: !hasBash,
  async fn() {
    const completion = await script("bash");
    for (
      const words of [
        ["write", ""],
        ["copy", "--direct", "off", "a", ""],
        ["write", "--buffer-size", ""],
        ["write", "--", "--at"],
        ["completion", "bash", ""],
      ]
    ) {
      assertEquals(await inBash(completion, "dma", ...words), [], `${words}`);
    }
    assertMatch(completion, /^complete -o default -F _dma dma$/m);
  },
});

Deno.test({
  name: "bash completes the very options that the help lists",
  ignore: !hasBash,
  async fn() {
    const completion = await script("bash");
    for (const command of ["write", "copy", "read", "doctor", "bench", "completion"]) {
      const { stdout } = await dma([command, "--help"]);
      const [options = ""] = stdout.split("\nExamples:");
      const listed = [...options.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag);
      assert(listed.length > 1);
      assertEquals(await inBash(completion, "dma", command, "--"), listed);
    }
  },
});

testInDirectory("bash completes names of files when Tab is pressed", async (dir) => {
  await Deno.writeTextFile(`${dir}/with space`, "");
  await Deno.mkdir(`${dir}/folder`);
  // What dma gets, and nothing else that could be taken for it.
  const shown = `dma() { printf 'GOT<%s>\\n' "$@"; }; PS1=`;
  await Deno.writeTextFile(`${dir}/rc`, `${await script("bash")}${shown}\n`);
  await Deno.writeTextFile(
    `${dir}/typed`,
    ["dma wri\t--ato\twi\t", "dma bench f\t", "dma write --direct=re\t", "exit", ""].join("\n"),
  );
  const shell = `(sleep 1; cat typed) | script -qec "bash --noprofile --rcfile rc -i" /dev/null`;
  const env = { SHELL: "/bin/sh", TERM: "dumb", INPUTRC: "/dev/null" };
  const { stdout } = await run("sh", ["-c", shell], { cwd: dir, env });
  const got = [...stdout.matchAll(/GOT<(.*?)>/g)].map(([, word]) => word);
  assertEquals(got, [
    ...["write", "--atomic", "with space"],
    ...["bench", "folder/"],
    ...["write", "--direct=require"],
  ]);
}, { ignore: !hasBash || !hasTerminals });

Deno.test({
  name: "zsh reads its script, sourced after compinit",
  ignore: !hasZsh,
  async fn() {
    const check = 'autoload -U compinit; compinit -D -u; eval "$1"; print -r -- $_comps[dma]';
    assertEquals(await printed("zsh", "-f", "-c", check, "zsh", await script("zsh")), "_dma\n");
  },
});

Deno.test({
  name: "fish completes commands, options, their values, and directories",
  ignore: !hasFish,
  async fn() {
    const completion = await script("fish");
    const offered = async (line: string) => {
      const ask = `${completion}\ncomplete -C ${JSON.stringify(line)}`;
      const lines = (await printed("fish", "--no-config", "-c", ask)).split("\n");
      return lines.map((line) => line.split("\t")[0]).filter((word) => word !== "");
    };
    assertEquals((await offered("dma co")).sort(), ["completion", "copy"]);
    assertEquals(await offered("dma write --wr"), ["--write-behind"]);
    assertEquals((await offered("dma write --direct ")).sort(), ["off", "prefer", "require"]);
    assertEquals((await offered("dma completion ")).sort(), ["bash", "fish", "zsh"]);
    assert((await offered("dma bench /et")).includes("/etc/"));
    assert((await offered("dma write /etc/pass")).includes("/etc/passwd"));
  },
});

testOnce("dma completion takes the name that dma was installed under", async () => {
  assertMatch(await script("bash", "--name", "my-dma"), /^complete .* my-dma$/m);
  assertMatch(await script("zsh", "--name", "my-dma"), /^#compdef my-dma$/m);
  assertMatch(await script("fish", "--name", "my-dma"), /^complete -c my-dma -f$/m);
  for (const wrong of ["a b", "$(x)", ""]) {
    assertEquals((await dma(["completion", "bash", "--name", wrong])).code, 2, wrong);
  }
  assertEquals((await dma(["completion", "tcsh"])).code, 2);
});
