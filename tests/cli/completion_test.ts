// The completion scripts, in their shells.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { run, runOrThrow } from "../setup/command.ts";
import { testOnce } from "../support/dirs.ts";
import { COMMANDS, succeeds, testDma } from "./process.ts";

async function script(...args: string[]): Promise<string> {
  return (await succeeds(["completion", ...args])).output;
}

/** The words that bash offers after these words, the last of which is being typed. */
async function inBash(completion: string, words: string[]): Promise<string[]> {
  const ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dma; printf "%s\\n" "${COMPREPLY[@]}"';
  const args = ["--norc", "-c", `${completion}\n${ask}`, "bash", "dma", ...words];
  return (await runOrThrow("bash", args)).split("\n").filter((word) => word !== "");
}

const offers: [words: string[], offered: string[]][] = [
  [[""], [...COMMANDS, "help"]],
  [["co"], ["copy", "completion"]],
  [["--v"], ["--version"]],
  [["write", "--wr"], ["--write-behind"]],
  [["copy", "a", "--no"], ["--no-clobber", "--no-sync", "--no-progress"]],
  [["write", "--direct", ""], ["require", "prefer", "off"]],
  // In --direct=p the sign is a word by itself.
  [["write", "--direct", "="], ["require", "prefer", "off"]],
  [["write", "--direct", "=", "p"], ["prefer"]],
  [["completion", "--name", "x", "z"], ["zsh"]],
  [["help", "d"], ["doctor"]],
  // Readline completes names of files, and unknown values get no offer.
  [["write", ""], []],
  [["write", "--buffer-size", ""], []],
  [["copy", "--direct", "off", "a", ""], []],
  [["write", "--", "--at"], []],
];

testOnce("bash completes commands, the options that the help lists, and their values", async () => {
  const completion = await script("bash");
  for (const [words, offered] of offers) {
    assertEquals(await inBash(completion, words), offered, `${words}`);
  }
  for (const command of COMMANDS) {
    const { stdout } = await succeeds([command, "--help"]);
    const listed = stdout.split("\nExamples:")[0]!.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm);
    assertEquals(await inBash(completion, [command, "--"]), [...listed].map(([, flag]) => flag!));
  }
}, { needs: ["bash"] });

testDma("bash completes names of files when Tab is pressed", async (dir) => {
  await Deno.writeTextFile(`${dir}/with space`, "");
  await Deno.mkdir(`${dir}/folder`);
  // The arguments that dma gets.
  const shown = `dma() { printf 'GOT<%s>\\n' "$@"; }; PS1=; PROMPT_COMMAND='touch prompt'`;
  await Deno.writeTextFile(`${dir}/rc`, `${await script("bash")}${shown}\n`);
  const typed = ["dma wri\t--ato\twi\t", "dma bench f\t", "dma write --direct=re\t", "exit", ""];
  await Deno.writeTextFile(`${dir}/typed`, typed.join("\n"));
  const shell =
    `(until [ -e prompt ]; do sleep 0.1; done; cat typed) | script -qec "bash --noprofile --rcfile rc -i" /dev/null`;
  const env = { SHELL: "/bin/sh", TERM: "dumb", INPUTRC: "/dev/null" };
  const { stdout } = await run("sh", ["-c", shell], { cwd: dir, env });
  const got = [...stdout.matchAll(/GOT<(.*?)>/g)].map(([, word]) => word);
  assertEquals(got, [
    ...["write", "--atomic", "with space"],
    ...["bench", "folder/"],
    ...["write", "--direct=require"],
  ]);
}, { needs: ["bash", "script"] });

testOnce("zsh reads its script, sourced after compinit", async () => {
  const check = 'autoload -U compinit; compinit -D -u; eval "$1"; print -r -- $_comps[dma]';
  assertEquals(await runOrThrow("zsh", ["-f", "-c", check, "zsh", await script("zsh")]), "_dma");
}, { needs: ["zsh"] });

testOnce("fish completes commands, options, their values, and directories", async () => {
  const completion = await script("fish");
  const offered = async (line: string) => {
    const ask = `${completion}\ncomplete -C ${JSON.stringify(line)}`;
    const lines = (await runOrThrow("fish", ["--no-config", "-c", ask])).split("\n");
    return lines.map((line) => line.split("\t")[0]).sort();
  };
  assertEquals(await offered("dma co"), ["completion", "copy"]);
  assertEquals(await offered("dma write --wr"), ["--write-behind"]);
  assertEquals(await offered("dma write --direct "), ["off", "prefer", "require"]);
  assertEquals(await offered("dma completion "), ["bash", "fish", "zsh"]);
  assert((await offered("dma bench /et")).includes("/etc/"));
  assert((await offered("dma write /etc/pass")).includes("/etc/passwd"));
}, { needs: ["fish"] });

testOnce("dma completion takes the name that dma was installed under", async () => {
  assertMatch(await script("bash", "--name", "my-dma"), /^complete .* my-dma$/m);
  assertMatch(await script("zsh", "--name", "my-dma"), /^#compdef my-dma$/m);
  assertMatch(await script("fish", "--name", "my-dma"), /^complete -c my-dma -f$/m);
});
